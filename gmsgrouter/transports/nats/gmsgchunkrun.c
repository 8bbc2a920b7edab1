/* gmsgchunkrun.c: what the pipes of a run share in the router
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgchunkrun-private.h"

#include "gmsgchunkformat-private.h"

#include <string.h>

/* The run's time advances from marker to marker. Between two markers it advances with the clock,
 * but not by more than STEP; and only if the first marker has come back by the time that the
 * second is sent. So however long the broker, or the router's process, stands still, the time
 * advances by one step at most, and a worker is not lost because its words were not carried yet.
 * Normally, markers come back at once, and the time is that of the clock.
 *
 * A step is longer than the interval, so that a late timer does not slow the time down. */
#define STEP(interval) ((interval) + (interval) / 2)

/* A marker that has not come back for this long is lost; the caller usually knows earlier. */
#define PATIENCE (4 * G_USEC_PER_SEC)

struct _GMsgChunkRun
{
  char          name[GMSG_CHUNK_RUN_LENGTH + 1];
  GMsgChunkKey *key;          /* (owned): of the markers */
  guint64       session;
  guint         peer_timeout; /* ms */
  guint64       epoch;

  guint64       number;       /* of the last marker; 0: none was sent */
  gboolean      under_way;    /* the last marker may come back */
  gint64        sent_at;      /* monotonic µs */
  gint64        time;         /* the run's time at @sent_at */
  guint64       back_number;  /* of the last marker that has come back */
  gint64        back_time;    /* the run's time when that was sent */
  guint64       n_refused;
};

gint64
gmsg_chunk_interval (guint peer_timeout)
{
  return MAX (peer_timeout, 10) * (gint64) (G_USEC_PER_SEC / 1000) / 10;
}

GMsgChunkRun *
gmsg_chunk_run_new (const char  *name,
                    const char  *secret,
                    guint64      session,
                    guint        peer_timeout,
                    GError     **error)
{
  GMsgChunkKey *key;
  GMsgChunkRun *self;

  g_assert (strlen (name) == GMSG_CHUNK_RUN_LENGTH);

  key = gmsg_chunk_key_new (secret, name, 0, session, error);
  if (key == NULL)
    return NULL;

  self = g_new0 (GMsgChunkRun, 1);
  memcpy (self->name, name, sizeof self->name);
  self->key = key;
  self->session = session;
  self->peer_timeout = peer_timeout;
  self->back_time = G_MININT64;
  return self;
}

void
gmsg_chunk_run_free (GMsgChunkRun *self)
{
  gmsg_chunk_key_free (self->key);
  g_free (self);
}

const char *
gmsg_chunk_run_get_name (GMsgChunkRun *self)
{
  return self->name;
}

guint
gmsg_chunk_run_get_peer_timeout (GMsgChunkRun *self)
{
  return self->peer_timeout;
}

void
gmsg_chunk_run_set_peer_timeout (GMsgChunkRun *self,
                                 guint         peer_timeout)
{
  self->peer_timeout = peer_timeout;
}

gint64
gmsg_chunk_run_get_interval (GMsgChunkRun *self)
{
  return gmsg_chunk_interval (self->peer_timeout);
}

guint64
gmsg_chunk_run_get_epoch (GMsgChunkRun *self)
{
  return self->epoch;
}

void
gmsg_chunk_run_raise_epoch (GMsgChunkRun *self)
{
  self->epoch++;
}

void
gmsg_chunk_run_reset (GMsgChunkRun *self)
{
  self->under_way = FALSE;
  self->sent_at = G_MININT64;
}

/* Returns how far the run's time has advanced since the last marker was sent. */
static gint64
get_step (GMsgChunkRun *self,
          gint64        now)
{
  if (self->number == 0 || self->sent_at == G_MININT64)
    return 0;

  return CLAMP (now - self->sent_at, 0, STEP (gmsg_chunk_run_get_interval (self)));
}

gint64
gmsg_chunk_run_get_time (GMsgChunkRun *self,
                         gint64        now)
{
  return self->time + get_step (self, now);
}

/* Tells whether a worker that was last heard at @time, in the run's time, is lost. */
gboolean
gmsg_chunk_run_has_passed (GMsgChunkRun *self,
                           gint64        time)
{
  gint64 timeout = self->peer_timeout * (gint64) (G_USEC_PER_SEC / 1000);

  return self->back_number != 0 &&
         self->back_time - time >= timeout - 2 * gmsg_chunk_run_get_interval (self);
}

gint64
gmsg_chunk_run_get_deadline (GMsgChunkRun *self)
{
  gint64 interval = gmsg_chunk_run_get_interval (self);

  if (self->number == 0 || self->sent_at == G_MININT64)
    return 0;

  return self->sent_at + (self->under_way ? MAX (PATIENCE, interval) : interval);
}

GBytes *
gmsg_chunk_run_pop (GMsgChunkRun *self,
                    gint64        now)
{
  GMsgChunkHead head = { .byte_order = gmsg_chunk_own_byte_order (), .session = self->session };

  if (now < gmsg_chunk_run_get_deadline (self))
    return NULL;

  if (!self->under_way)
    self->time += get_step (self, now);
  self->sent_at = now;
  self->under_way = TRUE;
  head.number = ++self->number;

  return gmsg_chunk_seal (self->key, GMSG_CHUNK_TO_STREAM, &head, NULL, 0);
}

gboolean
gmsg_chunk_run_receive (GMsgChunkRun *self,
                        GBytes       *chunk)
{
  GMsgChunkHead head;
  const guint8 *body;

  if (!gmsg_chunk_parse (chunk, &head, &body) ||
      head.session != self->session || head.pipe_id != 0 ||
      head.number <= self->back_number ||
      !gmsg_chunk_is_authentic (self->key, GMSG_CHUNK_TO_STREAM, chunk))
    {
      self->n_refused++;
      return FALSE;
    }

  /* A marker that was given up reveals nothing about the time since it was sent. */
  if (head.number != self->number || !self->under_way)
    return FALSE;

  self->under_way = FALSE;
  self->back_number = head.number;
  self->back_time = self->time;
  return TRUE;
}

guint64
gmsg_chunk_run_get_n_refused (GMsgChunkRun *self)
{
  return self->n_refused;
}
