/* memory.c: each message is freed, once, and soon after it was delivered (promises 6, 8)
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

/* In messages: what one burst of the channel holds. While that much is waiting behind the
 * burst that is delivered, the senders free what was, as long as they come for it; twice
 * KEPT wait for them at most. */
#define BURST 256
#define KEPT 64
#define N_SENDERS 4

/* What becomes of a flood of messages. */
typedef struct
{
  guint8     *states;       /* (owned): of each message; whoever has that may write */
  guint       n_messages;
  GMsgSender *sender;       /* (owned) */
  guint       n_delivered;  /* router's thread only */
  int         n_freed;      /* atomic */
  int         n_freed_here; /* atomic: of them, in the router's thread */
  GThread    *thread;       /* (unowned): the router's */
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
                  gpointer      user_data)
{
  Flood *self = user_data;
  guint number = g_variant_get_uint32 (message);

  g_assert_cmpuint (self->states[number], ==, SENT);
  self->states[number] = DELIVERED;
  self->n_delivered++;
  /* Beside what is kept, one is here, and one each sender may have in hand. */
  g_assert_cmpuint (self->n_delivered, <=,
                    (guint) g_atomic_int_get (&self->n_freed) + 2 * KEPT + 1 + N_SENDERS);
}

/* Takes @sender. */
static void
flood_init (Flood        *self,
            GMsgSender   *sender,
            GMsgReceiver *receiver,
            guint         n_messages)
{
  *self = (Flood) {
    .states = g_new0 (guint8, n_messages),
    .n_messages = n_messages,
    .sender = sender,
    .thread = g_thread_self (),
  };
  g_signal_connect (receiver, "message", G_CALLBACK (flood_message_cb), self);
  gmsg_sender_start (sender, NULL);
}

static void
flood_clear (Flood *self)
{
  g_clear_object (&self->sender);
  g_clear_pointer (&self->states, g_free);
}

/* A flood through a pipe of the fixture's router. */
typedef struct
{
  Flood         flood;
  GMsgReceiver *receiver; /* (owned) */
} Open;

static void
open_flood (Open    *self,
            Fixture *fixture,
            guint    n_messages)
{
  GMsgSender *sender = open_receiver (fixture, 0, 0, &self->receiver);

  flood_init (&self->flood, sender, self->receiver, n_messages);
}

static void
open_clear (Open    *self,
            Fixture *fixture)
{
  g_signal_handlers_disconnect_by_data (self->receiver, &self->flood);
  close_receiver (fixture, self->receiver);
  flood_clear (&self->flood);
}

/* Once there is nothing else to do, nothing is kept, and that without another message. */
static void
test_freed_when_idle (Fixture       *fixture,
                      gconstpointer  data)
{
  static const guint sizes[] = { 1, BURST - 1, BURST, BURST + 1, 2 * BURST, 10 * BURST, 10 * BURST + 7 };
  static const guint budgets[] = { G_MAXUINT, 4000, 0 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes) * G_N_ELEMENTS (budgets); i++)
    {
      guint n = sizes[i % G_N_ELEMENTS (sizes)];
      Open open;

      gmsg_router_set_budget (fixture->router, budgets[i / G_N_ELEMENTS (sizes)]);
      open_flood (&open, fixture, n);
      flood_send (&open.flood, 0, n);
      g_assert_cmpint (open.flood.n_freed, ==, 0);
      iterate_all (fixture->context);
      g_assert_cmpuint (open.flood.n_delivered, ==, n);
      g_assert_cmpint (open.flood.n_freed, ==, n);
      g_assert_cmpint (open.flood.n_freed_here, ==, n);
      open_clear (&open, fixture);
    }
}

static gboolean
all_delivered_cb (gpointer user_data)
{
  Flood *flood = user_data;

  return flood->n_delivered == flood->n_messages;
}

static void
assert_others_freed_cb (GMsgReceiver *receiver,
                        GVariant     *message,
                        gpointer      user_data)
{
  Flood *self = user_data;

  g_assert_cmpuint (self->n_freed, ==, self->n_delivered - 1);
}

static void
test_freed_in_manual_mode (Fixture       *fixture,
                           gconstpointer  data)
{
  g_autoptr (GError) error = NULL;
  Open open;

  open_flood (&open, fixture, 10 * BURST);
  g_signal_connect (open.receiver, "message", G_CALLBACK (assert_others_freed_cb), &open.flood);
  flood_send (&open.flood, 0, 10 * BURST);
  gmsg_router_route_until (fixture->router, -1, all_delivered_cb, &open.flood, &error);
  g_assert_no_error (error);
  g_assert_cmpint (open.flood.n_freed, ==, 10 * BURST);
  open_clear (&open, fixture);
}

static gboolean
always_cb (gpointer user_data)
{
  return TRUE;
}

/* The mode changes in the middle of a flood. */
static void
change_mode_cb (GMsgReceiver *receiver,
                GVariant     *message,
                gpointer      user_data)
{
  Flood *self = user_data;
  GMsgRouter *router = g_object_get_data (G_OBJECT (receiver), "router");
  g_autoptr (GError) error = NULL;

  if (self->n_delivered != 2 * KEPT)
    return;

  gmsg_router_route_until (router, 0, always_cb, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (self->n_freed, ==, self->n_delivered - 1);
}

static void
test_freed_when_manual_mode_begins (Fixture       *fixture,
                                    gconstpointer  data)
{
  g_autoptr (GError) error = NULL;
  Open open;

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  open_flood (&open, fixture, 4 * BURST);
  g_object_set_data (G_OBJECT (open.receiver), "router", fixture->router);
  g_signal_connect (open.receiver, "message", G_CALLBACK (change_mode_cb), &open.flood);
  flood_send (&open.flood, 0, 4 * BURST);
  iterate_all (fixture->context);
  g_assert_cmpuint (open.flood.n_delivered, ==, 2 * KEPT);
  assert_warning (MANUAL_WARNING);
  gmsg_router_route_until (fixture->router, -1, all_delivered_cb, &open.flood, &error);
  g_assert_no_error (error);
  open_clear (&open, fixture);
}

/* Sends one more while much is waiting, and sees that the call frees one of those that
 * were delivered before. */
typedef struct
{
  Flood *flood;
  guint  n_sent;
  guint  n_seen;
} Again;

static void
send_again_cb (GMsgReceiver *receiver,
               GVariant     *message,
               gpointer      user_data)
{
  Again *self = user_data;
  int n_freed = g_atomic_int_get (&self->flood->n_freed);

  /* Before that, nothing has been given back. */
  if (self->flood->n_delivered <= KEPT + 1 || self->n_seen == BURST)
    return;

  flood_send (self->flood, self->n_sent++, 1);
  g_assert_cmpint (g_atomic_int_get (&self->flood->n_freed), ==, n_freed + 1);
  self->n_seen++;
}

static void
test_freed_by_senders (Fixture       *fixture,
                       gconstpointer  data)
{
  Again again = { .n_sent = 4 * BURST };
  Open open;

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  open_flood (&open, fixture, 5 * BURST);
  again.flood = &open.flood;
  g_signal_connect (open.receiver, "message", G_CALLBACK (send_again_cb), &again);
  flood_send (&open.flood, 0, 4 * BURST);
  iterate_all (fixture->context);

  g_assert_cmpuint (again.n_seen, ==, BURST);
  g_assert_cmpuint (open.flood.n_delivered, ==, 5 * BURST);
  g_assert_cmpint (open.flood.n_freed, ==, 5 * BURST);
  g_signal_handlers_disconnect_by_data (open.receiver, &again);
  open_clear (&open, fixture);
}

/* Where the senders don't come for what is kept, it is freed all the same. */
static void
assert_old_ones_freed_cb (GMsgReceiver *receiver,
                          GVariant     *message,
                          gpointer      user_data)
{
  Flood *self = user_data;

  if (self->n_delivered > 2 * BURST)
    g_assert_cmpuint (self->states[self->n_delivered - 2 * BURST - 1], ==, FREED);
}

static void
test_freed_without_senders (Fixture       *fixture,
                            gconstpointer  data)
{
  Open open;

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  open_flood (&open, fixture, 10 * BURST);
  g_signal_connect (open.receiver, "message", G_CALLBACK (assert_old_ones_freed_cb), &open.flood);
  flood_send (&open.flood, 0, 10 * BURST);
  iterate_all (fixture->context);
  g_assert_cmpint (open.flood.n_freed, ==, 10 * BURST);
  open_clear (&open, fixture);
}

/* Messages that are not given back, since the pipe that they wait in, one that drops the
 * oldest, holds them itself; but those before them are kept. */
static GMsgSender *
send_behind (Fixture  *fixture,
             guint     n_messages,
             Record  **record)
{
  GMsgSender *sender = start_bounded (fixture, n_messages, GMSG_OVERFLOW_DROP_OLDEST, record);

  send_range (sender, 0, n_messages);
  return sender;
}

static void
nest_behind_cb (GMsgReceiver *receiver,
                GVariant     *message,
                gpointer      user_data)
{
  Flood *self = user_data;

  if (g_variant_get_int32 (message) != 2 * BURST - 1)
    return;

  iterate_all (g_main_context_get_thread_default ());
  g_assert_cmpint (self->n_freed, ==, self->n_messages);
}

static void
test_freed_in_nested_loop_behind (Fixture       *fixture,
                                  gconstpointer  data)
{
  static const guint sizes[] = { 1, KEPT, KEPT + 1, 2 * KEPT };

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autoptr (Record) record = NULL;
      g_autoptr (GMsgSender) sender = NULL;
      Open open;

      open_flood (&open, fixture, sizes[i]);
      flood_send (&open.flood, 0, sizes[i]);
      sender = send_behind (fixture, 2 * BURST, &record);
      g_signal_connect (record->receiver, "message", G_CALLBACK (nest_behind_cb), &open.flood);
      iterate_all (fixture->context);
      g_assert_cmpuint (record->values->len, ==, 2 * BURST);
      g_signal_handlers_disconnect_by_data (record->receiver, &open.flood);
      close_pipe (fixture, record);
      open_clear (&open, fixture);
    }
}

/* In a nested loop, all but the message whose handler runs it. */
static void
nest_at_last_cb (GMsgReceiver *receiver,
                 GVariant     *message,
                 gpointer      user_data)
{
  Flood *self = user_data;

  if (self->n_delivered < self->n_messages)
    return;

  iterate_all (g_main_context_get_thread_default ());
  g_assert_cmpint (self->n_freed, ==, self->n_messages - 1);
}

static void
test_freed_in_nested_loop (Fixture       *fixture,
                           gconstpointer  data)
{
  static const guint sizes[] = { BURST, BURST + KEPT, 2 * BURST, 2 * BURST + 1, 5 * BURST };

  for (guint i = 0; i < 2 * G_N_ELEMENTS (sizes); i++)
    {
      guint n = sizes[i / 2];
      g_autoptr (GError) error = NULL;
      Open open;

      gmsg_router_set_budget (fixture->router, G_MAXUINT);
      open_flood (&open, fixture, n);
      g_signal_connect (open.receiver, "message", G_CALLBACK (nest_at_last_cb), &open.flood);
      flood_send (&open.flood, 0, n);
      if (i % 2 == 0)
        {
          iterate_all (fixture->context);
        }
      else
        {
          gmsg_router_route_until (fixture->router, -1, all_delivered_cb, &open.flood, &error);
          g_assert_no_error (error);
        }
      g_assert_cmpint (open.flood.n_freed, ==, n);
      open_clear (&open, fixture);

      /* Out of manual mode. */
      gmsg_router_stop (fixture->router, NULL);
      gmsg_router_start (fixture->router, NULL);
    }
}

/* Who sees a pipe end may take that for the end of all that came through it. */
typedef struct
{
  Fixture *fixture;
  Flood   *flood;
  guint    n_until_close; /* 0: not at all */
  guint    n_ended;
} Watch;

static void
finished_cb (GMsgReceiver *receiver,
             const GError *error,
             gpointer      user_data)
{
  Watch *self = user_data;

  g_assert_cmpint (self->flood->n_freed, ==, self->flood->n_messages);
  self->n_ended++;
}

static void
close_cb (GMsgReceiver *receiver,
          GVariant     *message,
          gpointer      user_data)
{
  Watch *self = user_data;

  if (self->flood->n_delivered != self->n_until_close)
    return;

  close_receiver (self->fixture, receiver);
  g_assert_cmpint (self->flood->n_freed, ==, self->n_until_close - 1);
  self->n_ended++;
}

static void
test_freed_before_the_end_of_the_pipe (Fixture       *fixture,
                                       gconstpointer  data)
{
  static const guint closings[] = { 0, 1, KEPT, KEPT + 1, 2 * KEPT + 1, BURST, BURST + KEPT };
  const guint n = BURST + KEPT + 10;

  for (guint i = 0; i < G_N_ELEMENTS (closings); i++)
    {
      g_autoptr (Record) other = NULL;
      g_autoptr (GMsgSender) sender = start_pipe (fixture, &other);
      Watch watch = { .fixture = fixture, .n_until_close = closings[i] };
      Open open;

      gmsg_router_set_budget (fixture->router, G_MAXUINT);
      open_flood (&open, fixture, n);
      watch.flood = &open.flood;
      g_signal_connect (open.receiver, "message", G_CALLBACK (close_cb), &watch);
      g_signal_connect (open.receiver, "finished", G_CALLBACK (finished_cb), &watch);
      flood_send (&open.flood, 0, n);
      gmsg_sender_stop (open.flood.sender, NULL);
      /* Behind it, so that there is a backlog to the end. */
      send_range (sender, 0, 5 * BURST);
      iterate_all (fixture->context);

      g_assert_cmpuint (watch.n_ended, ==, 1);
      g_assert_cmpint (open.flood.n_freed, ==, n);
      g_signal_handlers_disconnect_by_data (open.receiver, &watch);
      if (closings[i] == 0)
        close_receiver (fixture, open.receiver);
      g_signal_handlers_disconnect_by_data (open.receiver, &open.flood);
      g_object_unref (open.receiver);
      flood_clear (&open.flood);
      forget_warnings ();
      close_pipe (fixture, other);
    }
}

/* What takes long to free counts for the budget, too. */
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
test_budget (Fixture       *fixture,
             gconstpointer  data)
{
  const guint n_costly = KEPT, budget = 4 * COSTLY_USEC;
  static const guint32 value = 0;
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);
  g_autoptr (Record) record_behind = NULL;
  g_autoptr (GMsgSender) sender_behind = NULL;
  guint n_freed = 0, n_before = 0;

  gmsg_router_set_budget (fixture->router, budget);
  for (guint i = 0; i < n_costly; i++)
    gmsg_sender_send (sender,
                      g_variant_new_from_data (G_VARIANT_TYPE_INT32, &value, sizeof value, TRUE,
                                               costly_free, &n_freed),
                      NULL);
  sender_behind = send_behind (fixture, 2 * BURST, &record_behind);

  while (n_freed < n_costly)
    {
      g_main_context_iteration (fixture->context, FALSE);
      g_assert_cmpuint (n_freed - n_before, <=, budget / COSTLY_USEC + 1);
      n_before = n_freed;
    }

  iterate_all (fixture->context);
  g_assert_cmpuint (record->values->len, ==, n_costly);
  g_assert_cmpuint (record_behind->values->len, ==, 2 * BURST);
  close_pipe (fixture, record);
  close_pipe (fixture, record_behind);
}

/* A destroy notify that sends: it must not free the next, which sends, and so on. */
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
send_now_cb (GMsgReceiver *receiver,
             GVariant     *message,
             gpointer      user_data)
{
  Sending *self = user_data;

  if (self->n_left > 0)
    send_value (self->sender, 0);
}

static void
test_destroy_notify_that_sends (Fixture       *fixture,
                                gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);
  Sending sending = { .sender = sender, .n_left = 4 * BURST };

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  g_signal_connect (record->receiver, "message", G_CALLBACK (send_now_cb), &sending);
  for (guint i = 0; i < 4 * BURST; i++)
    gmsg_sender_send (sender,
                      g_variant_new_from_data (G_VARIANT_TYPE_INT32, &sending.depth,
                                               sizeof sending.depth, TRUE, send_when_freed, &sending),
                      NULL);
  iterate_all (fixture->context);

  g_assert_cmpuint (sending.n_left, ==, 0);
  g_assert_cmpuint (sending.deepest, ==, 1);
  g_signal_handlers_disconnect_by_data (record->receiver, &sending);
  close_pipe (fixture, record);
}

static gpointer
flood_thread (gpointer data)
{
  Flood *flood = data;

  flood_send (flood, 0, flood->n_messages);
  return NULL;
}

/* Whoever frees a message, it is after its delivery, and once. */
static void
test_freed_once (Fixture       *fixture,
                 gconstpointer  data)
{
  const guint n = 50000;
  GThread *threads[N_SENDERS];
  Open open[N_SENDERS];
  guint n_delivered = 0;

  for (guint i = 0; i < N_SENDERS; i++)
    open_flood (&open[i], fixture, n);
  for (guint i = 0; i < N_SENDERS; i++)
    threads[i] = g_thread_new ("sender", flood_thread, &open[i].flood);

  while (n_delivered < n * N_SENDERS)
    {
      g_main_context_iteration (fixture->context, TRUE);
      n_delivered = 0;
      for (guint i = 0; i < N_SENDERS; i++)
        n_delivered += open[i].flood.n_delivered;
    }

  for (guint i = 0; i < N_SENDERS; i++)
    g_thread_join (threads[i]);
  for (guint i = 0; i < N_SENDERS; i++)
    {
      g_assert_cmpint (open[i].flood.n_freed, ==, n);
      open_clear (&open[i], fixture);
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
  GMsgRouter   *router;   /* (owned) (nullable) */
  GMsgReceiver *receiver; /* (owned) */
  Flood        *flood;
  End           end;
  guint         n_left;
} Ending;

static void
end_in_flood_cb (GMsgReceiver *receiver,
                 GVariant     *message,
                 gpointer      user_data)
{
  Ending *self = user_data;

  if (--self->n_left > 0)
    return;

  switch (self->end)
    {
    case CLOSE:
      gmsg_router_close_pipe (self->router, self->receiver, NULL);
      break;
    case STOP:
      gmsg_router_stop (self->router, NULL);
      g_assert_cmpuint (self->flood->n_freed, ==, self->flood->n_messages - 1);
      break;
    case DROP:
      g_clear_object (&self->router);
      break;
    case DROP_ELSEWHERE:
      drop_in_thread (g_steal_pointer (&self->router));
      break;
    case N_ENDS:
    default:
      g_assert_not_reached ();
    }
}

static void
test_freed_at_the_end (void)
{
  for (guint i = 0; i < N_ENDS * 4; i++)
    {
      g_autoptr (GMainContext) context = g_main_context_new ();
      Ending ending = { .router = gmsg_router_new (context), .end = i % N_ENDS };
      GMsgSender *sender;
      Flood flood;

      ending.flood = &flood;
      ending.n_left = 1 + (i / N_ENDS) * 300;
      gmsg_router_set_budget (ending.router, G_MAXUINT);
      gmsg_router_start (ending.router, NULL);
      sender = gmsg_router_pipe (ending.router, &ending.receiver, NULL);
      flood_init (&flood, sender, ending.receiver, 2000);
      g_signal_connect (ending.receiver, "message", G_CALLBACK (end_in_flood_cb), &ending);
      flood_send (&flood, 0, 2000);
      iterate_all (context);

      g_assert_cmpuint (ending.n_left, ==, 0);
      g_assert_cmpuint (flood.n_delivered, ==, 1 + (i / N_ENDS) * 300);
      g_assert_cmpint (flood.n_freed, ==, 2000);
      forget_warnings ();

      g_signal_handlers_disconnect_by_data (ending.receiver, &flood);
      g_signal_handlers_disconnect_by_data (ending.receiver, &ending);
      flood_clear (&flood);
      g_clear_object (&ending.receiver);
      if (ending.end == CLOSE)
        gmsg_router_stop (ending.router, NULL);
      g_clear_object (&ending.router);
    }
}

/* A context that is given up in the middle of a flood. */
static void
test_freed_with_the_context (void)
{
  GMainContext *context = g_main_context_new ();
  GMsgRouter *router = gmsg_router_new (context);
  g_autoptr (GMsgReceiver) receiver = NULL;
  GMsgSender *sender;
  Flood flood;

  gmsg_router_set_budget (router, 0);
  gmsg_router_start (router, NULL);
  sender = gmsg_router_pipe (router, &receiver, NULL);
  flood_init (&flood, sender, receiver, 10 * BURST);
  flood_send (&flood, 0, 10 * BURST);
  while (flood.n_delivered < 3 * BURST + KEPT)
    g_main_context_iteration (context, FALSE);

  drop_in_thread (router);
  g_main_context_unref (context);
  g_assert_cmpint (flood.n_freed, ==, 10 * BURST);
  forget_warnings ();
  g_signal_handlers_disconnect_by_data (receiver, &flood);
  flood_clear (&flood);
}

/* The last reference to a receiver, whose end closes the pipe of the next message. */
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
count_late_cb (GMsgReceiver *receiver,
               GVariant     *message,
               gpointer      user_data)
{
  Chain *self = user_data;

  self->n_late += self->closed;
}

static void
test_closed_by_the_end_of_another (Fixture       *fixture,
                                   gconstpointer  data)
{
  Chain chain = { .fixture = fixture };
  g_autoptr (GMsgSender) first = open_receiver (fixture, 0, 0, &chain.first);
  g_autoptr (GMsgSender) second = open_receiver (fixture, 0, 0, &chain.second);
  guint32 value = 0;

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  ignore_messages (chain.first);
  g_signal_connect (chain.second, "message", G_CALLBACK (count_late_cb), &chain);
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

/* The last reference to a receiver that its handler has closed: what runs then may change
 * to manual mode, and nothing more is delivered by the context. */
static void
route_when_freed (gpointer  user_data,
                  GObject  *receiver)
{
  Fixture *fixture = user_data;
  g_autoptr (GError) error = NULL;

  gmsg_router_route_until (fixture->router, 0, always_cb, NULL, &error);
  g_assert_no_error (error);
}

static gboolean
three_received_cb (gpointer user_data)
{
  Record *record = user_data;

  return record->values->len == 3;
}

typedef struct
{
  Fixture      *fixture;
  GMsgReceiver *receiver; /* (owned) (nullable) */
} Own;

static void
close_and_drop_cb (GMsgReceiver *receiver,
                   GVariant     *message,
                   gpointer      user_data)
{
  Own *self = user_data;

  g_object_weak_ref (G_OBJECT (receiver), route_when_freed, self->fixture);
  close_receiver (self->fixture, receiver);
  g_clear_object (&self->receiver);
}

static void
test_manual_by_the_end_of_another (Fixture       *fixture,
                                   gconstpointer  data)
{
  Own own = { .fixture = fixture };
  g_autoptr (GMsgSender) first = open_receiver (fixture, 0, 0, &own.receiver);
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) second = start_pipe (fixture, &record);
  g_autoptr (GError) error = NULL;

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  g_signal_connect (own.receiver, "message", G_CALLBACK (close_and_drop_cb), &own);
  gmsg_sender_start (first, NULL);
  send_range (first, 0, 1);
  send_range (second, 0, 3);
  iterate_all (fixture->context);

  g_assert_null (own.receiver);
  g_assert_cmpuint (record->values->len, ==, 0);
  assert_warning (MANUAL_WARNING);

  gmsg_router_route_until (fixture->router, -1, three_received_cb, record, &error);
  g_assert_no_error (error);
  close_pipe (fixture, record);
}

/* A receiver that another's handler closes and drops is gone at once. */
static void
drop_other_cb (GMsgReceiver *receiver,
               const GError *error,
               gpointer      user_data)
{
  Own *self = user_data;
  gpointer weak = self->receiver;

  g_object_add_weak_pointer (weak, &weak);
  close_receiver (self->fixture, self->receiver);
  g_clear_object (&self->receiver);
  g_assert_null (weak);
}

static void
test_dropped_in_finished (Fixture       *fixture,
                          gconstpointer  data)
{
  Own own = { .fixture = fixture };
  g_autoptr (GMsgSender) first = open_receiver (fixture, 0, 0, &own.receiver);
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) second = start_pipe (fixture, &record);

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  ignore_messages (own.receiver);
  g_signal_connect (record->receiver, "finished", G_CALLBACK (drop_other_cb), &own);
  gmsg_sender_start (first, NULL);
  send_range (first, 0, 1);
  gmsg_sender_stop (second, NULL);
  iterate_all (fixture->context);

  g_assert_null (own.receiver);
  g_signal_handlers_disconnect_by_data (record->receiver, &own);
  close_pipe (fixture, record);
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
  fixture_test ("/memory/p06/freed-without-senders", test_freed_without_senders);
  fixture_test ("/memory/p06/freed-in-nested-loop", test_freed_in_nested_loop);
  fixture_test ("/memory/p06/freed-in-nested-loop-behind", test_freed_in_nested_loop_behind);
  fixture_test ("/memory/p06/freed-before-the-end-of-the-pipe", test_freed_before_the_end_of_the_pipe);
  fixture_test ("/memory/p06/destroy-notify-that-sends", test_destroy_notify_that_sends);
  fixture_test ("/memory/p16/budget", test_budget);
  fixture_test ("/memory/p08/freed-once", test_freed_once);
  g_test_add_func ("/memory/p06/freed-at-the-end", test_freed_at_the_end);
  g_test_add_func ("/memory/p06/freed-with-the-context", test_freed_with_the_context);
  fixture_test ("/memory/p14/closed-by-the-end-of-another", test_closed_by_the_end_of_another);
  fixture_test ("/memory/p17/manual-by-the-end-of-another", test_manual_by_the_end_of_another);
  fixture_test ("/memory/p05/dropped-in-finished", test_dropped_in_finished);

  return g_test_run ();
}
