/* checksum-application.c: what outlives the windows: the router, its pipes and the threads
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "checksum-application.h"

#include "checksum-window.h"

struct _ChecksumApplication
{
  GtkApplication  parent_instance;

  GMsgRouter     *router;   /* (owned) (nullable): from startup to shutdown */
  GPtrArray      *threads;  /* (owned) (element-type GThread) */
};

G_DEFINE_FINAL_TYPE (ChecksumApplication, checksum_application, GTK_TYPE_APPLICATION)

/* Closes the windows, where g_application_quit() would leave the main loop while
 * threads are still at work. */
static void
quit_activated (GSimpleAction *action,
                GVariant      *parameter,
                gpointer       user_data)
{
  g_autoptr (GList) windows = g_list_copy (gtk_application_get_windows (user_data));

  for (GList *l = windows; l != NULL; l = l->next)
    gtk_window_close (l->data);
}

static void
checksum_application_startup (GApplication *application)
{
  ChecksumApplication *self = CHECKSUM_APPLICATION (application);
  GtkApplication *gtk_application = GTK_APPLICATION (application);
  g_autoptr (GError) error = NULL;
  const GActionEntry entries[] = {
    { .name = "quit", .activate = quit_activated },
  };

  G_APPLICATION_CLASS (checksum_application_parent_class)->startup (application);

  if (!gmsg_router_start (self->router, &error))
    g_error ("%s", error->message);

  g_action_map_add_action_entries (G_ACTION_MAP (self), entries, G_N_ELEMENTS (entries), self);
  gtk_application_set_accels_for_action (gtk_application, "app.quit",
                                         (const char *[]) { "<Control>q", NULL });
  gtk_application_set_accels_for_action (gtk_application, "window.close",
                                         (const char *[]) { "<Control>w", NULL });
  gtk_application_set_accels_for_action (gtk_application, "win.open",
                                         (const char *[]) { "<Control>o", NULL });
  gtk_application_set_accels_for_action (gtk_application, "win.cancel",
                                         (const char *[]) { "Escape", NULL });
}

static void
checksum_application_activate (GApplication *application)
{
  gtk_window_present (GTK_WINDOW (checksum_window_new (CHECKSUM_APPLICATION (application))));
}

static void
checksum_application_open (GApplication  *application,
                           GFile        **files,
                           int            n_files,
                           const char    *hint)
{
  GtkWidget *window = checksum_window_new (CHECKSUM_APPLICATION (application));

  checksum_window_start (CHECKSUM_WINDOW (window), files, n_files);
  gtk_window_present (GTK_WINDOW (window));
}

/* Every pipe held the application, so all are finished by now. */
static void
checksum_application_shutdown (GApplication *application)
{
  ChecksumApplication *self = CHECKSUM_APPLICATION (application);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < self->threads->len; i++)
    g_thread_join (g_ptr_array_index (self->threads, i));
  g_ptr_array_set_size (self->threads, 0);

  if (!gmsg_router_stop (self->router, &error))
    g_error ("%s", error->message);

  G_APPLICATION_CLASS (checksum_application_parent_class)->shutdown (application);
}

static void
checksum_application_finalize (GObject *object)
{
  ChecksumApplication *self = CHECKSUM_APPLICATION (object);

  g_clear_object (&self->router);
  g_clear_pointer (&self->threads, g_ptr_array_unref);

  G_OBJECT_CLASS (checksum_application_parent_class)->finalize (object);
}

static void
checksum_application_class_init (ChecksumApplicationClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GApplicationClass *application_class = G_APPLICATION_CLASS (klass);

  object_class->finalize = checksum_application_finalize;

  application_class->startup = checksum_application_startup;
  application_class->activate = checksum_application_activate;
  application_class->open = checksum_application_open;
  application_class->shutdown = checksum_application_shutdown;
}

static void
checksum_application_init (ChecksumApplication *self)
{
  self->router = gmsg_router_new (NULL);
  self->threads = g_ptr_array_new ();
}

GtkApplication *
checksum_application_new (void)
{
  return g_object_new (CHECKSUM_TYPE_APPLICATION,
                       "application-id", "org.example.Checksum",
                       "flags", G_APPLICATION_HANDLES_OPEN | G_APPLICATION_NON_UNIQUE,
                       NULL);
}

static void
finished_cb (GMsgReceiver *receiver,
             GError       *error,
             gpointer      user_data)
{
  ChecksumApplication *self = user_data;

  gmsg_router_close_pipe (self->router, receiver, NULL);
  g_application_release (G_APPLICATION (self));
}

/* Opens a pipe that keeps the application running until it has finished, also
 * where the window is closed before. This can't fail while the router runs. */
GMsgSender *
checksum_application_pipe (ChecksumApplication  *self,
                           guint                 capacity,
                           GMsgOverflow          overflow,
                           GMsgReceiver        **receiver)
{
  g_autoptr (GError) error = NULL;
  GMsgSender *sender = gmsg_router_pipe_bounded (self->router, capacity, overflow, receiver, &error);

  if (sender == NULL || !gmsg_sender_start (sender, &error))
    g_error ("%s", error->message);

  g_application_hold (G_APPLICATION (self));
  g_signal_connect_object (*receiver, "finished", G_CALLBACK (finished_cb), self, G_CONNECT_DEFAULT);

  return sender;
}

void
checksum_application_add_thread (ChecksumApplication *self,
                                 GThread             *thread)
{
  g_ptr_array_add (self->threads, thread);
}
