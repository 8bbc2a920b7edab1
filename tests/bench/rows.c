/* rows.c: measures how fast rows are added to a list in a window, and prints the result as
 * JSON
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"
#include "window.h"

#include <gmsg.h>

#define N_ROWS 100000
/* Single rows take ever longer, so all of them would take minutes. */
#define N_ONE_BY_ONE 10000
#define BATCH_SIZE 1000
/* Rows before the clock starts: with the first rows, GTK makes the widgets of the list. */
#define N_BEFORE 1000

static guint n_rows = N_ROWS;

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

  messages = gmsg_receiver_take (receiver, BATCH_SIZE, &n_messages, NULL);
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

/* Counted from the last frame before the rows to the first one after them: the rows take the
 * time of only a few frames, so the parts of frames count. */
typedef struct
{
  gint64 start; /* monotonic µs; 0: not yet */
  gint64 last;
  gint64 longest_gap;
  guint  n;     /* after @start */
} Frames;

static void
frame_cb (gpointer user_data)
{
  Frames *frames = user_data;
  gint64 now = g_get_monotonic_time ();

  if (frames->start > 0)
    {
      frames->longest_gap = MAX (frames->longest_gap, now - frames->last);
      frames->n++;
    }
  frames->last = now;
}

static GtkWidget *
make_view (GListStore *store)
{
  GtkListItemFactory *factory = gtk_signal_list_item_factory_new ();
  GtkWidget *scrolled = gtk_scrolled_window_new ();
  GtkWidget *view;

  g_signal_connect (factory, "setup", G_CALLBACK (setup_cb), NULL);
  g_signal_connect (factory, "bind", G_CALLBACK (bind_cb), NULL);
  view = gtk_column_view_new (GTK_SELECTION_MODEL (gtk_no_selection_new (g_object_ref (G_LIST_MODEL (store)))));
  gtk_column_view_append_column (GTK_COLUMN_VIEW (view), gtk_column_view_column_new ("row", factory));
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scrolled), view);

  return scrolled;
}

int
main (int    argc,
      char **argv)
{
  gboolean one_by_one = FALSE, unbounded = FALSE;
  const GOptionEntry entries[] =
  {
    { "one-by-one", 0, 0, G_OPTION_ARG_NONE, &one_by_one, "One insertion a message", NULL },
    { "unbounded", 0, 0, G_OPTION_ARG_NONE, &unbounded, "The sender never waits", NULL },
    G_OPTION_ENTRY_NULL
  };
  g_autoptr (GMsgRouter) router = gmsg_router_new (NULL);
  g_autoptr (GListStore) store = g_list_store_new (GTK_TYPE_STRING_OBJECT);
  g_autoptr (GMsgReceiver) receiver = NULL;
  Frames frames = { .start = 0 };
  GMsgSender *sender;
  GThread *thread;
  gint64 start;
  double row_usec;

  bench_parse (entries, NULL, &argc, &argv);
  if (one_by_one)
    n_rows = N_ONE_BY_ONE;

  gtk_init ();
  for (int i = 0; i < N_BEFORE; i++)
    {
      g_autoptr (GtkStringObject) row = gtk_string_object_new ("before");

      g_list_store_append (store, row);
    }
  bench_window_new (make_view (store), frame_cb, &frames);
  bench_window_wait_regular ();

  gmsg_router_start (router, NULL);
  sender = unbounded ? gmsg_router_pipe (router, &receiver, NULL)
                     : gmsg_router_pipe_bounded (router, BATCH_SIZE, GMSG_OVERFLOW_BLOCK, &receiver, NULL);
  gmsg_receiver_set_pull_mode (receiver, !one_by_one);
  g_signal_connect (receiver, "message", G_CALLBACK (message_cb), store);
  g_signal_connect (receiver, "ready", G_CALLBACK (ready_cb), store);

  start = g_get_monotonic_time ();
  frames.start = frames.last;
  thread = g_thread_new ("sender", send_all, sender);
  while (gmsg_receiver_get_state (receiver) == GMSG_RECEIVER_STATE_OPEN)
    g_main_context_iteration (NULL, TRUE);
  row_usec = (double) (g_get_monotonic_time () - start) / n_rows;
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (store)), ==, N_BEFORE + n_rows);

  for (guint n = frames.n; frames.n == n; )
    g_main_context_iteration (NULL, TRUE);
  g_print ("{\"row_us\": %.3f, \"frames_per_s\": %.1f, \"longest_gap_ms\": %.1f}\n",
           row_usec,
           frames.n * (double) G_USEC_PER_SEC / (double) (frames.last - frames.start),
           (double) frames.longest_gap / 1000);

  g_thread_join (thread);
  gmsg_router_close_pipe (router, receiver, NULL);
  gmsg_router_stop (router, NULL);
  return 0;
}
