/* rows.c: measures rows that are added to a list which a window shows, and prints the result
 * as JSON
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gmsg.h>
#include <gtk/gtk.h>

#define N_ROWS 100000
/* One by one they take ever longer, so the whole would take minutes. */
#define N_ONE_BY_ONE 10000

static guint n_rows = N_ROWS;

/* There before the clock starts: GTK makes the widgets of a list with its first rows. */
#define N_BEFORE 1000

/* GTK takes strings as they are. */
static GtkStringObject *
make_row (GVariant *message)
{
  return gtk_string_object_new (g_variant_get_string (message, NULL));
}

static void
message_cb (GMsgReceiver *receiver,
            GVariant     *message,
            GListStore   *store)
{
  g_autoptr (GtkStringObject) row = make_row (message);

  g_list_store_append (store, row);
}

static void
ready_cb (GMsgReceiver *receiver,
          GListStore   *store)
{
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func (g_object_unref);
  g_autofree GVariant **messages = NULL;
  gsize n_messages;

  messages = gmsg_receiver_take (receiver, 1000, &n_messages, NULL);
  for (gsize i = 0; i < n_messages; i++)
    {
      g_ptr_array_add (rows, make_row (messages[i]));
      g_variant_unref (messages[i]);
    }

  g_list_store_splice (store, g_list_model_get_n_items (G_LIST_MODEL (store)), 0,
                       rows->pdata, rows->len);
}

static gpointer
send_all (gpointer data)
{
  g_autoptr (GMsgSender) sender = data;

  gmsg_sender_start (sender, NULL);
  for (int i = 0; i < (int) n_rows; i++)
    gmsg_sender_send (sender, g_variant_new_take_string (g_strdup_printf ("row %d", i)), NULL);
  gmsg_sender_stop (sender, NULL);

  return NULL;
}

static void
setup_cb (GtkSignalListItemFactory *factory,
          GtkListItem              *item)
{
  gtk_list_item_set_child (item, gtk_label_new (NULL));
}

static void
bind_cb (GtkSignalListItemFactory *factory,
         GtkListItem              *item)
{
  GtkStringObject *row = gtk_list_item_get_item (item);

  gtk_label_set_label (GTK_LABEL (gtk_list_item_get_child (item)),
                       gtk_string_object_get_string (row));
}

static void
draw_cb (GtkDrawingArea *area,
         cairo_t        *cr,
         int             width,
         int             height,
         gpointer        user_data)
{
  guint *n_frames = user_data;

  cairo_set_source_rgb (cr, (*n_frames % 60) / 60.0, 0.5, 0.5);
  cairo_paint (cr);
  (*n_frames)++;
}

static gboolean
tick_cb (GtkWidget     *widget,
         GdkFrameClock *clock,
         gpointer       user_data)
{
  gtk_widget_queue_draw (widget);
  return G_SOURCE_CONTINUE;
}

static void
show_window (GListStore *store,
             guint      *n_frames)
{
  GtkListItemFactory *factory = gtk_signal_list_item_factory_new ();
  GtkWidget *window = gtk_window_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *scrolled = gtk_scrolled_window_new ();
  GtkWidget *area = gtk_drawing_area_new ();
  GtkWidget *view;

  g_signal_connect (factory, "setup", G_CALLBACK (setup_cb), NULL);
  g_signal_connect (factory, "bind", G_CALLBACK (bind_cb), NULL);
  view = gtk_column_view_new (GTK_SELECTION_MODEL (gtk_no_selection_new (g_object_ref (G_LIST_MODEL (store)))));
  gtk_column_view_append_column (GTK_COLUMN_VIEW (view), gtk_column_view_column_new ("row", factory));
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scrolled), view);
  gtk_widget_set_vexpand (scrolled, TRUE);

  gtk_widget_set_size_request (area, -1, 50);
  gtk_drawing_area_set_draw_func (GTK_DRAWING_AREA (area), draw_cb, n_frames, NULL);
  gtk_widget_add_tick_callback (area, tick_cb, NULL, NULL);

  gtk_box_append (GTK_BOX (box), scrolled);
  gtk_box_append (GTK_BOX (box), area);
  gtk_window_set_default_size (GTK_WINDOW (window), 320, 240);
  gtk_window_set_child (GTK_WINDOW (window), box);
  gtk_window_present (GTK_WINDOW (window));
}

int
main (int    argc,
      char **argv)
{
  gboolean one_by_one = argc > 1 && g_str_equal (argv[1], "--one-by-one");
  g_autoptr (GMsgRouter) router = gmsg_router_new (NULL);
  g_autoptr (GListStore) store = g_list_store_new (GTK_TYPE_STRING_OBJECT);
  g_autoptr (GMsgReceiver) receiver = NULL;
  guint n_frames = 0;
  GMsgSender *sender;
  GThread *thread;
  gint64 start;
  double seconds;

  if (one_by_one)
    n_rows = N_ONE_BY_ONE;

  gtk_init ();
  for (int i = 0; i < N_BEFORE; i++)
    {
      g_autoptr (GtkStringObject) row = gtk_string_object_new ("before");

      g_list_store_append (store, row);
    }
  show_window (store, &n_frames);
  while (n_frames < 60)
    g_main_context_iteration (NULL, TRUE);

  gmsg_router_start (router, NULL);
  sender = gmsg_router_pipe (router, &receiver, NULL);
  gmsg_receiver_set_pull_mode (receiver, !one_by_one);
  g_signal_connect (receiver, "message", G_CALLBACK (message_cb), store);
  g_signal_connect (receiver, "ready", G_CALLBACK (ready_cb), store);

  start = g_get_monotonic_time ();
  n_frames = 0;
  thread = g_thread_new ("sender", send_all, sender);
  while (gmsg_receiver_get_state (receiver) == GMSG_RECEIVER_STATE_OPEN)
    g_main_context_iteration (NULL, TRUE);
  seconds = (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (store)), ==, N_BEFORE + n_rows);
  g_print ("{\"row_us\": %.3f, \"frames_per_s\": %.1f}\n", 1e6 * seconds / n_rows, n_frames / seconds);

  g_thread_join (thread);
  gmsg_router_close_pipe (router, receiver, NULL);
  gmsg_router_stop (router, NULL);
  return 0;
}
