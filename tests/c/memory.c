/* memory.c: each message is freed, once, and soon after it was delivered (promises 6, 8)
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

/* In messages: the capacity of one burst of the channel. While that many wait behind the burst
 * being delivered, the senders free delivered messages, as long as they come for them; at most
 * twice KEPT wait for the senders. */
#define BURST 256
#define KEPT 64
#define N_SENDERS 4

/* What happens to a flood of messages. */
typedef struct
{
  Fixture      *fixture;
  guint8       *states;       /* (owned): of each message; the owner of a message may write */
  guint         n_messages;
  GMsgSender   *sender;       /* (owned) */
  GMsgReceiver *receiver;     /* (owned) */
  guint         n_delivered;  /* router's thread only */
  int           n_freed;      /* atomic */
  int           n_freed_here; /* atomic: of them, in the router's thread */
  GThread      *thread;       /* (unowned): the router's */
} Flood;

typedef enum
{
  SENT,
  DELIVERED,
  FREED,
} State;

typedef struct
{
  Flood *flood;
  guint  number;
} Load;

static void
load_free (gpointer data)
{
  g_autofree Load *load = data;
  Flood *flood = load->flood;

  g_assert_cmpuint (flood->states[load->number], !=, FREED);
  flood->states[load->number] = FREED;
  g_atomic_int_inc (&flood->n_freed);
  if (g_thread_self () == flood->thread)
    g_atomic_int_inc (&flood->n_freed_here);
}

static void
flood_send (Flood *self,
            guint  first,
            guint  n_messages)
{
  for (guint i = first; i < first + n_messages; i++)
    {
      g_autoptr (GError) error = NULL;
      Load *load = g_new (Load, 1);

      *load = (Load) { self, i };
      gmsg_sender_send (self->sender,
                        g_variant_new_from_data (G_VARIANT_TYPE_UINT32, &load->number,
                                                 sizeof load->number, TRUE, load_free, load),
                        &error);
      g_assert_no_error (error);
    }
}

static void
flood_message_cb (GMsgReceiver *receiver,
                  GVariant     *message,
                  Flood        *self)
{
  guint number = g_variant_get_uint32 (message);

  g_assert_cmpuint (self->states[number], ==, SENT);
  self->states[number] = DELIVERED;
  self->n_delivered++;
  /* In addition to the kept messages, one is here, and each sender may have one in hand. */
  g_assert_cmpuint (self->n_delivered, <=,
                    (guint) g_atomic_int_get (&self->n_freed) + 2 * KEPT + 1 + N_SENDERS);
}

static void
flood_open (Flood   *self,
            Fixture *fixture,
            guint    n_messages)
{
  *self = (Flood) {
    .fixture = fixture,
    .states = g_new0 (guint8, n_messages),
    .n_messages = n_messages,
    .thread = g_thread_self (),
  };
  self->sender = open_receiver (fixture, 0, 0, &self->receiver);
  g_signal_connect (self->receiver, "message", G_CALLBACK (flood_message_cb), self);
  gmsg_sender_start (self->sender, NULL);
}

static void
flood_close (Flood *self)
{
  g_signal_handlers_destroy (self->receiver);
  if (gmsg_receiver_get_state (self->receiver) != GMSG_RECEIVER_STATE_CLOSED)
    close_receiver (self->fixture, self->receiver);
  g_object_unref (self->receiver);
  g_object_unref (self->sender);
  g_free (self->states);
}

/* When nothing else is left to do, nothing is kept, even without another message. */
static void
test_freed_when_idle (Fixture *fixture)
{
  static const guint sizes[] = { 1, BURST - 1, BURST, BURST + 1, 2 * BURST, 10 * BURST, 10 * BURST + 7 };
  static const guint budgets[] = { G_MAXUINT, 4000, 0 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes) * G_N_ELEMENTS (budgets); i++)
    {
      guint n = sizes[i % G_N_ELEMENTS (sizes)];
      Flood flood;

      gmsg_router_set_budget (fixture->router, budgets[i / G_N_ELEMENTS (sizes)]);
      flood_open (&flood, fixture, n);
      flood_send (&flood, 0, n);
      g_assert_cmpint (flood.n_freed, ==, 0);
      iterate_all (fixture->context);
      g_assert_cmpuint (flood.n_delivered, ==, n);
      g_assert_cmpint (flood.n_freed, ==, n);
      g_assert_cmpint (flood.n_freed_here, ==, n);
      flood_close (&flood);
    }
}

static gboolean
all_delivered_cb (gpointer user_data)
{
  Flood *flood = user_data;

  return flood->n_delivered == flood->n_messages;
}

static void
assert_others_freed_cb (Flood *self)
{
  g_assert_cmpuint (self->n_freed, ==, self->n_delivered - 1);
}

static void
test_freed_in_manual_mode (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  Flood flood;

  flood_open (&flood, fixture, 10 * BURST);
  g_signal_connect_swapped (flood.receiver, "message", G_CALLBACK (assert_others_freed_cb), &flood);
  flood_send (&flood, 0, 10 * BURST);
  gmsg_router_route_until (fixture->router, -1, all_delivered_cb, &flood, &error);
  g_assert_no_error (error);
  g_assert_cmpint (flood.n_freed, ==, 10 * BURST);
  flood_close (&flood);
}

/* The mode changes in the middle of a flood. */
static void
change_mode_cb (Flood *self)
{
  g_autoptr (GError) error = NULL;

  if (self->n_delivered != 2 * KEPT)
    return;

  gmsg_router_route_until (self->fixture->router, 0, always, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (self->n_freed, ==, self->n_delivered - 1);
}

static void
test_freed_when_manual_mode_begins (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  Flood flood;

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  flood_open (&flood, fixture, 4 * BURST);
  g_signal_connect_swapped (flood.receiver, "message", G_CALLBACK (change_mode_cb), &flood);
  flood_send (&flood, 0, 4 * BURST);
  iterate_all (fixture->context);
  g_assert_cmpuint (flood.n_delivered, ==, 2 * KEPT);
  assert_warning (MANUAL_WARNING);
  gmsg_router_route_until (fixture->router, -1, all_delivered_cb, &flood, &error);
  g_assert_no_error (error);
  flood_close (&flood);
}

/* Sends one more while many wait, and checks that the call frees one of the delivered
 * messages. */
typedef struct
{
  Flood *flood;
  guint  n_sent;
  guint  n_seen;
} Again;

static void
send_again_cb (Again *self)
{
  int n_freed = g_atomic_int_get (&self->flood->n_freed);

  /* Before that, nothing has been given back. */
  if (self->flood->n_delivered <= KEPT + 1 || self->n_seen == BURST)
    return;

  flood_send (self->flood, self->n_sent++, 1);
  g_assert_cmpint (g_atomic_int_get (&self->flood->n_freed), ==, n_freed + 1);
  self->n_seen++;
}

static void
test_freed_by_senders (Fixture *fixture)
{
  Flood flood;
  Again again = { .flood = &flood, .n_sent = 4 * BURST };

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  flood_open (&flood, fixture, 5 * BURST);
  g_signal_connect_swapped (flood.receiver, "message", G_CALLBACK (send_again_cb), &again);
  flood_send (&flood, 0, 4 * BURST);
  iterate_all (fixture->context);

  g_assert_cmpuint (again.n_seen, ==, BURST);
  g_assert_cmpuint (flood.n_delivered, ==, 5 * BURST);
  g_assert_cmpint (flood.n_freed, ==, 5 * BURST);
  flood_close (&flood);
}

/* Messages that are not given back, since they wait in a drop-oldest pipe, which holds them
 * itself; but the messages before them are kept. */
static Pipe *
send_behind (Fixture *fixture,
             guint    n_messages)
{
  Pipe *pipe = start_bounded (fixture, n_messages, GMSG_OVERFLOW_DROP_OLDEST);

  send_range (pipe->sender, 0, n_messages);
  return pipe;
}

static void
nest_behind_cb (GMsgReceiver *receiver,
                GVariant     *message,
                Flood        *self)
{
  if (g_variant_get_int32 (message) != 2 * BURST - 1)
    return;

  iterate_all (g_main_context_get_thread_default ());
  g_assert_cmpint (self->n_freed, ==, self->n_messages);
}

static void
test_freed_in_nested_loop_behind (Fixture *fixture)
{
  static const guint sizes[] = { 1, KEPT, KEPT + 1, 2 * KEPT };

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      Pipe *behind;
      Flood flood;

      flood_open (&flood, fixture, sizes[i]);
      flood_send (&flood, 0, sizes[i]);
      behind = send_behind (fixture, 2 * BURST);
      g_signal_connect (behind->receiver, "message", G_CALLBACK (nest_behind_cb), &flood);
      iterate_all (fixture->context);
      g_assert_cmpuint (behind->values->len, ==, 2 * BURST);
      close_pipe (behind);
      flood_close (&flood);
    }
}

/* In a nested loop, all but the message whose handler runs it. */
static void
nest_at_last_cb (Flood *self)
{
  if (self->n_delivered < self->n_messages)
    return;

  iterate_all (g_main_context_get_thread_default ());
  g_assert_cmpint (self->n_freed, ==, self->n_messages - 1);
}

static void
test_freed_in_nested_loop (Fixture *fixture)
{
  static const guint sizes[] = { BURST, BURST + KEPT, 2 * BURST, 2 * BURST + 1, 5 * BURST };

  for (guint i = 0; i < 2 * G_N_ELEMENTS (sizes); i++)
    {
      guint n = sizes[i / 2];
      g_autoptr (GError) error = NULL;
      Flood flood;

      gmsg_router_set_budget (fixture->router, G_MAXUINT);
      flood_open (&flood, fixture, n);
      g_signal_connect_swapped (flood.receiver, "message", G_CALLBACK (nest_at_last_cb), &flood);
      flood_send (&flood, 0, n);
      if (i % 2 == 0)
        {
          iterate_all (fixture->context);
        }
      else
        {
          gmsg_router_route_until (fixture->router, -1, all_delivered_cb, &flood, &error);
          g_assert_no_error (error);
        }
      g_assert_cmpint (flood.n_freed, ==, n);
      flood_close (&flood);

      /* Out of manual mode. */
      gmsg_router_stop (fixture->router, NULL);
      gmsg_router_start (fixture->router, NULL);
    }
}

/* Code that sees a pipe end may take that for the end of all messages that came through it. */
typedef struct
{
  Flood *flood;
  guint  n_until_close; /* 0: not at all */
  guint  n_ended;
} Watch;

static void
finished_cb (Watch *self)
{
  g_assert_cmpint (self->flood->n_freed, ==, self->flood->n_messages);
  self->n_ended++;
}

static void
close_cb (GMsgReceiver *receiver,
          GVariant     *message,
          Watch        *self)
{
  if (self->flood->n_delivered != self->n_until_close)
    return;

  close_receiver (self->flood->fixture, receiver);
  g_assert_cmpint (self->flood->n_freed, ==, self->n_until_close - 1);
  self->n_ended++;
}

static void
test_freed_before_the_end_of_the_pipe (Fixture *fixture)
{
  static const guint closings[] = { 0, 1, KEPT, KEPT + 1, 2 * KEPT + 1, BURST, BURST + KEPT };
  const guint n = BURST + KEPT + 10;

  for (guint i = 0; i < G_N_ELEMENTS (closings); i++)
    {
      Pipe *other = start_pipe (fixture);
      Flood flood;
      Watch watch = { .flood = &flood, .n_until_close = closings[i] };

      gmsg_router_set_budget (fixture->router, G_MAXUINT);
      flood_open (&flood, fixture, n);
      g_signal_connect (flood.receiver, "message", G_CALLBACK (close_cb), &watch);
      g_signal_connect_swapped (flood.receiver, "finished", G_CALLBACK (finished_cb), &watch);
      flood_send (&flood, 0, n);
      gmsg_sender_stop (flood.sender, NULL);
      /* It comes after the pipe, so that there is a backlog to the end. */
      send_range (other->sender, 0, 5 * BURST);
      iterate_all (fixture->context);

      g_assert_cmpuint (watch.n_ended, ==, 1);
      g_assert_cmpint (flood.n_freed, ==, n);
      flood_close (&flood);
      forget_warnings ();
      close_pipe (other);
    }
}

/* Messages that take long to free count against the budget, too. */
#define COSTLY_USEC 1000

static void
costly_free (gpointer data)
{
  guint *n_freed = data;
  gint64 end = g_get_monotonic_time () + COSTLY_USEC;

  while (g_get_monotonic_time () < end)
    continue;
  (*n_freed)++;
}

static void
test_budget (Fixture *fixture)
{
  const guint n_costly = KEPT, budget = 4 * COSTLY_USEC;
  static const guint32 value = 0;
  Pipe *pipe = start_pipe (fixture);
  Pipe *behind;
  guint n_freed = 0, n_before = 0;

  gmsg_router_set_budget (fixture->router, budget);
  for (guint i = 0; i < n_costly; i++)
    gmsg_sender_send (pipe->sender,
                      g_variant_new_from_data (G_VARIANT_TYPE_INT32, &value, sizeof value, TRUE,
                                               costly_free, &n_freed),
                      NULL);
  behind = send_behind (fixture, 2 * BURST);

  while (n_freed < n_costly)
    {
      g_main_context_iteration (fixture->context, FALSE);
      g_assert_cmpuint (n_freed - n_before, <=, budget / COSTLY_USEC + 1);
      n_before = n_freed;
    }

  iterate_all (fixture->context);
  g_assert_cmpuint (pipe->values->len, ==, n_costly);
  g_assert_cmpuint (behind->values->len, ==, 2 * BURST);
}

/* A destroy notify sends: it must not free the next message, which sends, and so on. */
typedef struct
{
  GMsgSender *sender; /* (unowned) */
  guint       n_left;
  guint       depth;
  guint       deepest;
} Sending;

static void
send_when_freed (gpointer data)
{
  Sending *self = data;

  if (self->n_left == 0)
    return;

  self->n_left--;
  self->depth++;
  self->deepest = MAX (self->deepest, self->depth);
  gmsg_sender_send (self->sender,
                    g_variant_new_from_data (G_VARIANT_TYPE_INT32, &self->depth, sizeof self->depth,
                                             TRUE, send_when_freed, self),
                    NULL);
  self->depth--;
}

static void
send_now_cb (Sending *self)
{
  if (self->n_left > 0)
    send_value (self->sender, 0);
}

static void
test_destroy_notify_that_sends (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Sending sending = { .sender = pipe->sender, .n_left = 4 * BURST };

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  g_signal_connect_swapped (pipe->receiver, "message", G_CALLBACK (send_now_cb), &sending);
  for (guint i = 0; i < 4 * BURST; i++)
    gmsg_sender_send (pipe->sender,
                      g_variant_new_from_data (G_VARIANT_TYPE_INT32, &sending.depth,
                                               sizeof sending.depth, TRUE, send_when_freed, &sending),
                      NULL);
  iterate_all (fixture->context);

  g_assert_cmpuint (sending.n_left, ==, 0);
  g_assert_cmpuint (sending.deepest, ==, 1);
}

static gpointer
flood_thread (gpointer data)
{
  Flood *flood = data;

  flood_send (flood, 0, flood->n_messages);
  return NULL;
}

/* Whoever frees a message does so after its delivery, and once. */
static void
test_freed_once (Fixture *fixture)
{
  const guint n = 50000;
  GThread *threads[N_SENDERS];
  Flood floods[N_SENDERS];
  guint n_delivered = 0;

  for (guint i = 0; i < N_SENDERS; i++)
    flood_open (&floods[i], fixture, n);
  for (guint i = 0; i < N_SENDERS; i++)
    threads[i] = g_thread_new ("sender", flood_thread, &floods[i]);

  while (n_delivered < n * N_SENDERS)
    {
      g_main_context_iteration (fixture->context, TRUE);
      n_delivered = 0;
      for (guint i = 0; i < N_SENDERS; i++)
        n_delivered += floods[i].n_delivered;
    }

  for (guint i = 0; i < N_SENDERS; i++)
    g_thread_join (threads[i]);
  for (guint i = 0; i < N_SENDERS; i++)
    {
      g_assert_cmpint (floods[i].n_freed, ==, n);
      flood_close (&floods[i]);
    }
}

/* However the run ends in the middle of a flood, nothing is left. */
typedef enum
{
  CLOSE,
  STOP,
  DROP,
  DROP_ELSEWHERE,
  N_ENDS,
} End;

typedef struct
{
  Flood *flood;
  End    end;
  guint  n_left;
} Ending;

static void
end_in_flood_cb (GMsgReceiver *receiver,
                 GVariant     *message,
                 Ending       *self)
{
  Fixture *fixture = self->flood->fixture;

  if (--self->n_left > 0)
    return;

  switch (self->end)
    {
    case CLOSE:
      close_receiver (fixture, receiver);
      break;
    case STOP:
      gmsg_router_stop (fixture->router, NULL);
      g_assert_cmpuint (self->flood->n_freed, ==, self->flood->n_messages - 1);
      break;
    case DROP:
      g_clear_object (&fixture->router);
      break;
    case DROP_ELSEWHERE:
      drop_in_thread (g_steal_pointer (&fixture->router));
      break;
    case N_ENDS:
    default:
      g_assert_not_reached ();
    }
}

static void
test_freed_at_the_end (Fixture *fixture)
{
  for (guint n_until = 1; n_until <= 901; n_until += 300)
    {
      Flood flood;
      Ending ending = { &flood, GPOINTER_TO_INT (fixture->data), n_until };

      if (fixture->router == NULL)
        fixture->router = gmsg_router_new (fixture->context);
      gmsg_router_start (fixture->router, NULL);
      gmsg_router_set_budget (fixture->router, G_MAXUINT);
      flood_open (&flood, fixture, 2000);
      g_signal_connect (flood.receiver, "message", G_CALLBACK (end_in_flood_cb), &ending);
      flood_send (&flood, 0, 2000);
      iterate_all (fixture->context);

      g_assert_cmpuint (ending.n_left, ==, 0);
      g_assert_cmpuint (flood.n_delivered, ==, n_until);
      g_assert_cmpint (flood.n_freed, ==, 2000);
      flood_close (&flood);
      forget_warnings ();
    }
}

/* A context is given up in the middle of a flood. */
static void
test_freed_with_the_context (Fixture *fixture)
{
  Flood flood;

  gmsg_router_set_budget (fixture->router, 0);
  flood_open (&flood, fixture, 10 * BURST);
  flood_send (&flood, 0, 10 * BURST);
  while (flood.n_delivered < 3 * BURST + KEPT)
    g_main_context_iteration (fixture->context, FALSE);

  drop_in_thread (g_steal_pointer (&fixture->router));
  g_main_context_pop_thread_default (fixture->context);
  g_main_context_unref (fixture->context);
  g_assert_cmpint (flood.n_freed, ==, 10 * BURST);
  flood_close (&flood);
  forget_warnings ();

  fixture->context = g_main_context_new ();
  g_main_context_push_thread_default (fixture->context);
}

/* A message holds the last reference to a receiver, whose end closes the pipe of the next
 * message. */
typedef struct
{
  Fixture      *fixture;
  GMsgReceiver *first;  /* (owned) (nullable) */
  GMsgReceiver *second; /* (owned) */
  gboolean      closed;
  guint         n_late;
} Chain;

static void
close_second_cb (gpointer  user_data,
                 GObject  *first)
{
  Chain *self = user_data;

  self->closed = TRUE;
  close_receiver (self->fixture, self->second);
}

static void
close_first_when_freed (gpointer data)
{
  Chain *self = data;

  g_object_weak_ref (G_OBJECT (self->first), close_second_cb, self);
  close_receiver (self->fixture, self->first);
  g_clear_object (&self->first);
}

static void
count_late_cb (Chain *self)
{
  self->n_late += self->closed;
}

static void
test_closed_by_the_end_of_another (Fixture *fixture)
{
  Chain chain = { .fixture = fixture };
  g_autoptr (GMsgSender) first = open_receiver (fixture, 0, 0, &chain.first);
  g_autoptr (GMsgSender) second = open_receiver (fixture, 0, 0, &chain.second);
  guint32 value = 0;

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  ignore_messages (chain.first);
  g_signal_connect_swapped (chain.second, "message", G_CALLBACK (count_late_cb), &chain);
  gmsg_sender_start (first, NULL);
  gmsg_sender_start (second, NULL);
  /* It is freed after its delivery. */
  gmsg_sender_send (first,
                    g_variant_new_from_data (G_VARIANT_TYPE_UINT32, &value, sizeof value, TRUE,
                                             close_first_when_freed, &chain),
                    NULL);
  send_range (second, 0, 3);
  iterate_all (fixture->context);

  g_assert_true (chain.closed);
  g_assert_cmpuint (chain.n_late, ==, 0);
  assert_warning ("discarding 3 messages from closed pipe #2");
  g_object_unref (chain.second);
}

/* A message holds the last reference to a receiver that its handler has closed: code that runs
 * then may change to manual mode, and the context delivers nothing more. */
static void
route_when_freed (gpointer  user_data,
                  GObject  *receiver)
{
  Fixture *fixture = user_data;
  g_autoptr (GError) error = NULL;

  gmsg_router_route_until (fixture->router, 0, always, NULL, &error);
  g_assert_no_error (error);
}

static gboolean
three_received_cb (gpointer user_data)
{
  Pipe *pipe = user_data;

  return pipe->values->len == 3;
}

typedef struct
{
  Fixture      *fixture;
  GMsgReceiver *receiver; /* (owned) (nullable) */
} Own;

static void
close_and_drop_cb (GMsgReceiver *receiver,
                   GVariant     *message,
                   Own          *self)
{
  g_object_weak_ref (G_OBJECT (receiver), route_when_freed, self->fixture);
  close_receiver (self->fixture, receiver);
  g_clear_object (&self->receiver);
}

static void
test_manual_by_the_end_of_another (Fixture *fixture)
{
  Own own = { .fixture = fixture };
  g_autoptr (GMsgSender) first = open_receiver (fixture, 0, 0, &own.receiver);
  Pipe *pipe = start_pipe (fixture);
  g_autoptr (GError) error = NULL;

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  g_signal_connect (own.receiver, "message", G_CALLBACK (close_and_drop_cb), &own);
  gmsg_sender_start (first, NULL);
  send_range (first, 0, 1);
  send_range (pipe->sender, 0, 3);
  iterate_all (fixture->context);

  g_assert_null (own.receiver);
  g_assert_cmpuint (pipe->values->len, ==, 0);
  assert_warning (MANUAL_WARNING);

  gmsg_router_route_until (fixture->router, -1, three_received_cb, pipe, &error);
  g_assert_no_error (error);
}

/* A receiver that another's handler closes and drops disappears at once. */
static void
drop_other_cb (GMsgReceiver *receiver,
               const GError *error,
               Own          *self)
{
  gpointer weak = self->receiver;

  g_object_add_weak_pointer (weak, &weak);
  close_receiver (self->fixture, self->receiver);
  g_clear_object (&self->receiver);
  g_assert_null (weak);
}

static void
test_dropped_in_finished (Fixture *fixture)
{
  Own own = { .fixture = fixture };
  g_autoptr (GMsgSender) first = open_receiver (fixture, 0, 0, &own.receiver);
  Pipe *pipe = start_pipe (fixture);

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  ignore_messages (own.receiver);
  g_signal_connect (pipe->receiver, "finished", G_CALLBACK (drop_other_cb), &own);
  gmsg_sender_start (first, NULL);
  send_range (first, 0, 1);
  gmsg_sender_stop (pipe->sender, NULL);
  iterate_all (fixture->context);

  g_assert_null (own.receiver);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  fixture_test ("/memory/p06/freed-when-idle", test_freed_when_idle);
  fixture_test ("/memory/p06/freed-in-manual-mode", test_freed_in_manual_mode);
  fixture_test ("/memory/p06/freed-when-manual-mode-begins", test_freed_when_manual_mode_begins);
  fixture_test ("/memory/p06/freed-by-senders", test_freed_by_senders);
  fixture_test ("/memory/p06/freed-in-nested-loop", test_freed_in_nested_loop);
  fixture_test ("/memory/p06/freed-in-nested-loop-behind", test_freed_in_nested_loop_behind);
  fixture_test ("/memory/p06/freed-before-the-end-of-the-pipe", test_freed_before_the_end_of_the_pipe);
  fixture_test ("/memory/p06/destroy-notify-that-sends", test_destroy_notify_that_sends);
  fixture_test ("/memory/p16/budget", test_budget);
  fixture_test ("/memory/p08/freed-once", test_freed_once);
  fixture_test_with ("/memory/p06/freed-when-closed", GINT_TO_POINTER (CLOSE), test_freed_at_the_end);
  fixture_test_with ("/memory/p06/freed-when-stopped", GINT_TO_POINTER (STOP), test_freed_at_the_end);
  fixture_test_with ("/memory/p06/freed-when-dropped", GINT_TO_POINTER (DROP), test_freed_at_the_end);
  fixture_test_with ("/memory/p06/freed-when-dropped-elsewhere", GINT_TO_POINTER (DROP_ELSEWHERE),
                     test_freed_at_the_end);
  fixture_test ("/memory/p06/freed-with-the-context", test_freed_with_the_context);
  fixture_test ("/memory/p14/closed-by-the-end-of-another", test_closed_by_the_end_of_another);
  fixture_test ("/memory/p17/manual-by-the-end-of-another", test_manual_by_the_end_of_another);
  fixture_test ("/memory/p05/dropped-in-finished", test_dropped_in_finished);

  return g_test_run ();
}
