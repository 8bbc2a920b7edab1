/* forger.c: tests that a client of the NATS server with the account, and without the secret, can't
 * harm a pipe: promises 8, 12 and 19 over NATS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "natsserver.h"
#include "workers.h"

#include <nats/nats.h>
#include <stdio.h>
#include <string.h>

#define N_WORKERS 2
/* The pause of a worker after each hundredth of its messages. */
#define PAUSE_MSEC 15

/* The messages of a flood, and how much more memory the process may take. The whole flood would
 * take twice as much. */
#define N_SMALL 400000
#define N_LARGE 2000
#define LARGE_SIZE (64 * 1024)
#define MAX_MEMORY (96 * 1024 * 1024)

#define HEAD_SIZE 48
#define CODE_SIZE 32
/* How many messages are kept to be repeated later. */
#define N_KEPT 64

typedef struct _Forger Forger;

/* Called with each message that passes, in libnats's thread. */
typedef void (*AttackFunc) (Forger     *forger,
                            const char *subject,
                            GBytes     *message);

struct _Forger
{
  natsConnection   *nc;           /* (owned) */
  natsSubscription *subscription; /* (owned) */
  AttackFunc        attack;
  GPtrArray        *kept;         /* (owned) (element-type Kept) */
  char             *run;          /* (owned) */
  int               n_foreign;    /* (atomic): messages that the router must ignore */
  int               n_again;      /* (atomic): chunks that the router must drop */
  gboolean          is_complete;  /* (atomic): the last callback has returned */
};

typedef struct
{
  char   *subject; /* (owned) */
  GBytes *message; /* (owned) */
} Kept;

/* Counts from the library's log, which is written in the router's thread only (promise 24). */
typedef struct
{
  guint n_lines, n_ignored, n_doubled, n_ends;
} Log;

static void
log_cb (const char     *domain,
        GLogLevelFlags  level,
        const char     *message,
        gpointer        user_data)
{
  Log *log = user_data;
  guint n;

  if (sscanf (message, "ignoring %u messages at", &n) == 1)
    {
      log->n_lines++;
      log->n_ignored += n;
    }
  else if (sscanf (message, "pipe #%*u took %*u chunks, dropped %u", &n) == 1)
    {
      log->n_ends++;
      log->n_doubled += n;
    }
}

static void
kept_free (gpointer data)
{
  Kept *self = data;

  g_bytes_unref (self->message);
  g_free (self->subject);
  g_free (self);
}

/* “gmsg.RUN.d.7”: kind 'd' */
static char
get_kind (const char *subject)
{
  return subject[strlen ("gmsg.") + 22 + 1];
}

/* Publishes a message that the router must not take. With @again, the router may have had it
 * before. */
static void
publish (Forger     *self,
         const char *subject,
         GBytes     *message,
         gboolean    again)
{
  gsize size;
  gconstpointer data = g_bytes_get_data (message, &size);
  natsStatus status = natsConnection_Publish (self->nc, subject, data, (int) size);

  /* The forger has ended meanwhile. */
  if (status == NATS_CONNECTION_CLOSED)
    return;

  g_assert_cmpint (status, ==, NATS_OK);
  if (get_kind (subject) != 'd' && get_kind (subject) != 'u')
    return;

  /* Pipe 0 is the router's own. */
  if (again && get_kind (subject) == 'd' && !g_str_has_suffix (subject, ".0"))
    g_atomic_int_inc (&self->n_again);
  else
    g_atomic_int_inc (&self->n_foreign);
}

static void
message_cb (natsConnection   *nc,
            natsSubscription *subscription,
            natsMsg          *message,
            void             *closure)
{
  Forger *self = closure;
  const char *subject = natsMsg_GetSubject (message), *reply = natsMsg_GetReply (message);

  /* Messages that the router reads from the stream pass here a second time. */
  if (natsMsg_GetDataLength (message) >= HEAD_SIZE + CODE_SIZE &&
      (reply == NULL || !g_str_has_prefix (reply, "$JS.ACK.")))
    {
      g_autoptr (GBytes) bytes = g_bytes_new (natsMsg_GetData (message),
                                              (gsize) natsMsg_GetDataLength (message));

      self->attack (self, subject, bytes);
    }
  natsMsg_Destroy (message);
}

static void
complete_cb (void *closure)
{
  Forger *self = closure;

  g_atomic_int_set (&self->is_complete, TRUE);
}

static void
forger_begin (Forger     *self,
              NatsServer *server,
              AttackFunc  attack)
{
  natsOptions *options = NULL;

  self->attack = attack;
  self->kept = g_ptr_array_new_with_free_func (kept_free);
  g_assert_cmpint (natsOptions_Create (&options), ==, NATS_OK);
  natsOptions_SetURL (options, server->url);
  natsOptions_SetNoEcho (options, true);
  g_assert_cmpint (natsConnection_Connect (&self->nc, options), ==, NATS_OK);
  natsOptions_Destroy (options);
  g_assert_cmpint (natsConnection_Subscribe (&self->subscription, self->nc, "gmsg.>", message_cb, self),
                   ==, NATS_OK);
  natsSubscription_SetOnCompleteCB (self->subscription, complete_cb, self);
  natsConnection_Flush (self->nc);
}

static void
forger_end (Forger *self)
{
  natsConnection_Flush (self->nc);
  natsConnection_Close (self->nc);
  wait_until (g_atomic_int_get (&self->is_complete));
  natsSubscription_Destroy (self->subscription);
  natsConnection_Destroy (self->nc);
  g_ptr_array_unref (self->kept);
}

/* The attacks */

/* Changes each message: its header, its bytes, or its code. */
static void
forge (Forger     *self,
       const char *subject,
       GBytes     *message)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (message, &size);
  gsize places[] = { 8, 16, 24, 32, HEAD_SIZE, size - 1 };

  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    {
      g_autofree guint8 *copy = g_memdup2 (data, size);
      g_autoptr (GBytes) forged = NULL;

      copy[places[i]] ^= 1;
      forged = g_bytes_new_take (g_steal_pointer (&copy), size);
      publish (self, subject, forged, FALSE);
    }
}

static void
replay (Forger     *self,
        const char *subject,
        GBytes     *message)
{
  publish (self, subject, message, TRUE);
  publish (self, subject, message, TRUE);
}

/* Repeats everything later, in reverse order, and also on the subject of the other pipe. */
static void
reorder (Forger     *self,
         const char *subject,
         GBytes     *message)
{
  Kept *kept = g_new0 (Kept, 1);

  kept->subject = g_strdup (subject);
  kept->message = g_bytes_ref (message);
  g_ptr_array_add (self->kept, kept);
  if (self->kept->len < N_KEPT)
    return;

  while (self->kept->len > 0)
    {
      Kept *last = g_ptr_array_index (self->kept, self->kept->len - 1);
      char *number = strrchr (last->subject, '.') + 1;

      publish (self, last->subject, last->message, TRUE);
      if (get_kind (last->subject) != 'r')
        {
          *number = *number == '1' ? '2' : '1';
          publish (self, last->subject, last->message, FALSE);
        }
      g_ptr_array_set_size (self->kept, (int) self->kept->len - 1);
    }
}

static void
learn_run (Forger     *self,
           const char *subject,
           GBytes     *message)
{
  if (self->run == NULL)
    g_atomic_pointer_set (&self->run, g_strndup (subject + strlen ("gmsg."), 22));
}

/* Greets in sessions that nobody has, so the router must check each code. */
static gpointer
flood_run (gpointer data)
{
  Forger *self = data;
  static const char * const subjects[] = { "u.1", "d.1", "r.1.s", "i.p.1" };
  g_autofree guint8 *large = g_malloc0 (LARGE_SIZE);
  guint8 greeting[HEAD_SIZE + CODE_SIZE] = { 'G', 'M', 'S', 'N', 1, 'l', 1, 0 };
  g_autofree char *greeted = g_strdup_printf ("gmsg.%s.u.1", self->run);

  greeting[16] = 1;
  for (guint i = 0; i < N_SMALL; i++)
    {
      memcpy (greeting + 8, &i, sizeof i);
      natsConnection_Publish (self->nc, greeted, greeting, sizeof greeting);
    }
  for (guint i = 0; i < N_LARGE; i++)
    {
      g_autofree char *subject = g_strdup_printf ("gmsg.%s.%s", self->run,
                                                  subjects[i % G_N_ELEMENTS (subjects)]);

      natsConnection_Publish (self->nc, subject, large, LARGE_SIZE);
    }
  natsConnection_Flush (self->nc);
  return NULL;
}

static gsize
get_memory (void)
{
  g_autofree char *text = NULL;
  guint64 n_pages = 0;

  g_assert_true (g_file_get_contents ("/proc/self/statm", &text, NULL, NULL));
  g_assert_cmpint (sscanf (text, "%*u %" G_GUINT64_FORMAT, &n_pages), ==, 1);
  return n_pages * 4096;
}

static gboolean
have_finished (Fixture *fixture,
               gsize   *most)
{
  gboolean all = TRUE;

  *most = MAX (*most, get_memory ());
  for (guint i = 0; i < N_WORKERS; i++)
    all = all && ((Pipe *) fixture->pipes->pdata[i])->n_finished > 0;
  return all;
}

typedef struct
{
  const char  *path;
  AttackFunc   attack;
  GThreadFunc  flood;  /* (nullable) */
} Case;

static const Case cases[] =
{
  { "/forger/p19/forged", forge, NULL },
  { "/forger/p12/replayed", replay, NULL },
  { "/forger/p12/reordered", reorder, NULL },
  { "/forger/p08/flooded", learn_run, flood_run },
};

static void
test_attack (Fixture *fixture)
{
  const Case *test = fixture->data;
  g_autoptr (NatsServer) server = nats_server_new (NULL);
  g_autofree char *url = g_strconcat (server->url, ",max-bytes=67108864", NULL);
  g_autoptr (GError) error = NULL;
  gint64 begun = g_get_monotonic_time ();
  GThread *flood = NULL;
  Worker *workers[N_WORKERS];
  Forger forger = { 0 };
  gsize before, most;
  guint seconds;
  Log log = { 0 };
  guint handler = g_log_set_handler ("GMsgRouter", G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_DEBUG, log_cb,
                                     &log);

  connect_router (fixture, url);
  nats_url = url;
  forger_begin (&forger, server, test->attack);
  before = most = get_memory ();

  for (guint i = 0; i < N_WORKERS; i++)
    {
      Pipe *pipe = open_pipe (fixture);

      workers[i] = worker_new (pipe, WAY_NATS, "spread", PAUSE_MSEC);
      gmsg_receiver_cancel (pipe->receiver);
    }
  if (test->flood != NULL)
    {
      iterate_until (fixture->context, g_atomic_pointer_get (&forger.run) != NULL);
      flood = g_thread_new ("flood", test->flood, &forger);
    }

  iterate_until (fixture->context, have_finished (fixture, &most) && log.n_ends == N_WORKERS);
  if (flood != NULL)
    g_thread_join (flood);
  for (guint i = 0; i < N_WORKERS; i++)
    {
      Pipe *pipe = fixture->pipes->pdata[i];

      g_assert_no_error (pipe->error);
      pipe_assert_range (pipe, 0, SPREAD_VALUES);
      g_assert_cmpint (worker_join (workers[i]), ==, 0);
      close_pipe (pipe);
    }

  forger_end (&forger);
  /* The router logs within a second what it has ignored. */
  if (test->flood != NULL)
    iterate_until (fixture->context, log.n_ignored > 0);
  else
    iterate_until (fixture->context, log.n_ignored == (guint) forger.n_foreign);
  seconds = (guint) ((g_get_monotonic_time () - begun) / G_USEC_PER_SEC);
  g_assert_true (gmsg_router_stop (fixture->router, &error));
  g_log_remove_handler ("GMsgRouter", handler);
  g_test_message ("%d messages forged and %d repeated; %u ignored, which %u lines told in %u s, and "
                  "%u dropped; %zu MB more memory",
                  forger.n_foreign, forger.n_again, log.n_ignored, log.n_lines, seconds,
                  log.n_doubled, (most - before) / 1000000);
  g_assert_cmpuint (log.n_lines, <=, seconds + 2);
  g_assert_true (log.n_doubled > 0 || forger.n_again == 0);
  g_assert_cmpuint (most - before, <, MAX_MEMORY);
  g_free (forger.run);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);
  workers_init ();

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    fixture_test_with (cases[i].path, &cases[i], test_attack);

  return g_test_run ();
}
