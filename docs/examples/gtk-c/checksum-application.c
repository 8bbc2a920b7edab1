/* checksum-application.c: opens the windows, and shows the About dialog
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "checksum-application.h"

#include <gmsg.h>

#include "checksum-window.h"

struct _ChecksumApplication
{
  AdwApplication parent_instance;
};

G_DEFINE_FINAL_TYPE (ChecksumApplication, checksum_application, ADW_TYPE_APPLICATION)

static void
new_window_activated (GSimpleAction *action,
                      GVariant      *parameter,
                      gpointer       user_data)
{
  g_application_activate (user_data);
}

static void
about_activated (GSimpleAction *action,
                 GVariant      *parameter,
                 gpointer       user_data)
{
  adw_show_about_window (gtk_application_get_active_window (user_data),
                         "application-name", "Checksum",
                         "application-icon", CHECKSUM_APPLICATION_ID,
                         "comments", "Computes the SHA-256 of every file in the folders that you choose.",
                         "copyright", "© 2026 The gmsgrouter authors",
                         "developer-name", "The gmsgrouter authors",
                         "license-type", GTK_LICENSE_LGPL_2_1,
                         "version", GMSG_VERSION_S,
                         NULL);
}

/* g_application_quit() would not wait for the threads to end. */
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
  const GActionEntry entries[] = {
    { .name = "new-window", .activate = new_window_activated },
    { .name = "about", .activate = about_activated },
    { .name = "quit", .activate = quit_activated },
  };
  const struct {
    const char *action;
    const char *accelerator;
  } shortcuts[] = {
    { "app.new-window", "<Control>n" },
    { "app.quit", "<Control>q" },
    { "window.close", "<Control>w" },
    { "win.open", "<Control>o" },
    { "win.stop", "Escape" },
    { "win.copy-selected", "<Control>c" },
  };

  G_APPLICATION_CLASS (checksum_application_parent_class)->startup (application);

  g_action_map_add_action_entries (G_ACTION_MAP (application), entries, G_N_ELEMENTS (entries), application);
  for (gsize i = 0; i < G_N_ELEMENTS (shortcuts); i++)
    gtk_application_set_accels_for_action (GTK_APPLICATION (application), shortcuts[i].action,
                                           (const char *[]) { shortcuts[i].accelerator, NULL });
  gtk_window_set_default_icon_name (CHECKSUM_APPLICATION_ID);
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

static void
checksum_application_class_init (ChecksumApplicationClass *klass)
{
  GApplicationClass *application_class = G_APPLICATION_CLASS (klass);

  application_class->startup = checksum_application_startup;
  application_class->activate = checksum_application_activate;
  application_class->open = checksum_application_open;
}

static void
checksum_application_init (ChecksumApplication *self)
{
}

GApplication *
checksum_application_new (void)
{
  return g_object_new (CHECKSUM_TYPE_APPLICATION,
                       "application-id", CHECKSUM_APPLICATION_ID,
                       "flags", G_APPLICATION_HANDLES_OPEN | G_APPLICATION_NON_UNIQUE,
                       NULL);
}
