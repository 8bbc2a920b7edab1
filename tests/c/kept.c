/* kept.c: data that an application keeps stays as it was (promise 11)
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "workers.h"

#define N_ROWS 300

/* A binding trusts a signal about the lifetime of its arguments. */
static void
assert_no_static_scope (GType type)
{
  g_autoptr (GTypeClass) klass G_GNUC_UNUSED = g_type_class_ref (type);
  g_autofree guint *ids = NULL;
  guint n_ids;

  ids = g_signal_list_ids (type, &n_ids);
  for (guint i = 0; i < n_ids; i++)
    {
      GSignalQuery query;

      g_signal_query (ids[i], &query);
      g_assert_cmpuint (query.return_type & G_SIGNAL_TYPE_STATIC_SCOPE, ==, 0);
      for (guint j = 0; j < query.n_params; j++)
        g_assert_cmpuint (query.param_types[j] & G_SIGNAL_TYPE_STATIC_SCOPE, ==, 0);
    }
}

static void
test_p11_signals_own_their_arguments (void)
{
  assert_no_static_scope (GMSG_TYPE_ROUTER);
  assert_no_static_scope (GMSG_TYPE_SENDER);
  assert_no_static_scope (GMSG_TYPE_RECEIVER);
}

/* Everything that came through one pipe, by the signals or by calls. */
typedef struct
{
  GMsgReceiver *receiver; /* (owned) (nullable) */
  GPtrArray    *messages; /* (owned) (element-type GVariant) */
  GError       *error;    /* (owned) (nullable) */
  gboolean      ended;
} Keeper;

static void
keep_message_cb (GMsgReceiver *receiver,
                 GVariant     *message,
                 Keeper       *keeper)
{
  g_ptr_array_add (keeper->messages, g_variant_ref (message));
}

static void
keep_error_cb (GMsgReceiver *receiver,
               const GError *error,
               Keeper       *keeper)
{
  keeper->error = error != NULL ? g_error_copy (error) : NULL;
  keeper->ended = TRUE;
}

static void
keep_next_cb (GObject      *source,
              GAsyncResult *result,
              gpointer      user_data)
{
  Keeper *keeper = user_data;
  GVariant *message;

  message = gmsg_receiver_next_finish (GMSG_RECEIVER (source), result, &keeper->error);
  keeper->ended = message == NULL;
  if (message == NULL)
    return;

  g_ptr_array_add (keeper->messages, message);
  gmsg_receiver_next_async (keeper->receiver, NULL, keep_next_cb, keeper);
}

/* Takes @receiver. */
static void
keeper_init (Keeper       *keeper,
             GMsgReceiver *receiver,
             gboolean      pulls)
{
  *keeper = (Keeper) { .receiver = receiver };
  keeper->messages = g_ptr_array_new_with_free_func ((GDestroyNotify) g_variant_unref);

  if (pulls)
    {
      gmsg_receiver_next_async (receiver, NULL, keep_next_cb, keeper);
      return;
    }

  g_signal_connect (receiver, "message", G_CALLBACK (keep_message_cb), keeper);
  g_signal_connect (receiver, "finished", G_CALLBACK (keep_error_cb), keeper);
}

/* After the pipe, its router and its worker are gone. */
static void
keeper_assert_rows (Keeper *keeper,
                    int     n_rows)
{
  g_assert_cmpuint (keeper->messages->len, ==, (guint) n_rows);
  for (int i = 0; i < n_rows; i++)
    {
      g_autoptr (GVariant) expected = g_variant_ref_sink (make_row (i));

      g_assert_cmpvariant (g_ptr_array_index (keeper->messages, (guint) i), expected);
    }
}

static void
keeper_clear (Keeper *keeper)
{
  g_ptr_array_unref (keeper->messages);
  g_clear_error (&keeper->error);
}

/* Has the work done by a thread or a process, takes @sender, and iterates until the end of
 * @keeper's pipe. */
static void
run_to_the_end (Fixture    *fixture,
                Way         way,
                GMsgSender *sender,
                const char *name,
                int         n,
                Keeper     *keeper)
{
  /* What it emits is kept by @keeper. */
  Pipe pipe = { .fixture = fixture, .sender = sender };
  Worker *worker = worker_new (&pipe, way, name, n);

  iterate_until (fixture->context, keeper->ended);
  worker_join (worker);
}

static void
finish (Fixture *fixture,
        Keeper  *keeper)
{
  g_signal_handlers_disconnect_by_data (keeper->receiver, keeper);
  close_receiver (fixture, keeper->receiver);
  gmsg_router_stop (fixture->router, NULL);
  g_assert_finalize_object (g_steal_pointer (&fixture->router));
  iterate_all (fixture->context);
  g_assert_finalize_object (g_steal_pointer (&keeper->receiver));
}

typedef struct
{
  Way          way;
  guint        capacity;
  GMsgOverflow overflow;
  gboolean     pulls;
} Kind;

static const Kind kinds[] =
{
  { WAY_THREAD, 0, GMSG_OVERFLOW_BLOCK, FALSE },
  { WAY_THREAD, 0, GMSG_OVERFLOW_BLOCK, TRUE },
  { WAY_THREAD, 8, GMSG_OVERFLOW_BLOCK, FALSE },
  { WAY_THREAD, 8, GMSG_OVERFLOW_BLOCK, TRUE },
  { WAY_THREAD, N_ROWS, GMSG_OVERFLOW_DROP_OLDEST, FALSE },
  { WAY_LOCAL, 0, GMSG_OVERFLOW_BLOCK, FALSE },
  { WAY_LOCAL, 8, GMSG_OVERFLOW_BLOCK, TRUE },
  { WAY_SPAWN, 0, GMSG_OVERFLOW_BLOCK, FALSE },
  { WAY_SPAWN, 8, GMSG_OVERFLOW_BLOCK, TRUE },
  { WAY_SPAWN, N_ROWS, GMSG_OVERFLOW_DROP_OLDEST, FALSE },
};

static void
test_p11_messages (Fixture *fixture)
{
  const Kind *kind = fixture->data;
  GMsgReceiver *receiver;
  GMsgSender *sender = open_receiver (fixture, kind->capacity, kind->overflow, &receiver);
  Keeper keeper;

  keeper_init (&keeper, receiver, kind->pulls);
  run_to_the_end (fixture, kind->way, sender, "send-rows", N_ROWS, &keeper);
  finish (fixture, &keeper);
  g_assert_no_error (keeper.error);
  keeper_assert_rows (&keeper, N_ROWS);
  keeper_clear (&keeper);
}

/* With @data, by calls. */
static void
test_p21_error (Fixture *fixture)
{
  GMsgReceiver *receiver;
  GMsgSender *sender = open_receiver (fixture, 0, GMSG_OVERFLOW_BLOCK, &receiver);
  Keeper keeper;

  keeper_init (&keeper, receiver, GPOINTER_TO_INT (fixture->data));
  run_to_the_end (fixture, WAY_SPAWN, sender, "exit", 0, &keeper);
  finish (fixture, &keeper);
  g_assert_error (keeper.error, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
  g_assert_nonnull (strstr (keeper.error->message, "pipe #1"));
  keeper_clear (&keeper);
}

/* Without a reference, the object lives as long as the sender, whatever happens to the router;
 * with a reference, longer. */
static void
test_p22_cancellable (Fixture *fixture)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  GMsgSender *sender = open_receiver (fixture, 0, GMSG_OVERFLOW_BLOCK, &receiver);
  GCancellable *cancellable = gmsg_sender_get_cancellable (sender);

  close_receiver (fixture, receiver);
  gmsg_router_stop (fixture->router, NULL);
  g_clear_object (&fixture->router);
  g_clear_object (&receiver);
  g_assert_true (g_cancellable_is_cancelled (cancellable));

  g_object_ref (cancellable);
  g_assert_finalize_object (sender);
  g_assert_true (g_cancellable_is_cancelled (cancellable));
  g_assert_finalize_object (cancellable);
}

int
main (int    argc,
      char **argv)
{
  static const char *ways[] =
  {
    [WAY_THREAD] = "thread",
    [WAY_SPAWN] = "process",
    [WAY_LOCAL] = "address",
  };

  test_init (&argc, &argv);
  workers_init ();

  g_test_add_func ("/kept/p11/signals-own-their-arguments", test_p11_signals_own_their_arguments);
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      g_autofree char *path = g_strdup_printf ("/kept/p11/messages/%s/%u%s%s", ways[kinds[i].way],
                                               kinds[i].capacity,
                                               kinds[i].overflow == GMSG_OVERFLOW_BLOCK ? "" : "-drop-oldest",
                                               kinds[i].pulls ? "-pulled" : "");

      fixture_test_with (path, &kinds[i], test_p11_messages);
    }
  fixture_test ("/kept/p21/error", test_p21_error);
  fixture_test_with ("/kept/p21/error-pulled", GINT_TO_POINTER (TRUE), test_p21_error);
  fixture_test ("/kept/p22/cancellable", test_p22_cancellable);

  return g_test_run ();
}
