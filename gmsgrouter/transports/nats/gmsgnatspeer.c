/* gmsgnatspeer.c: a worker beyond a NATS server
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgnatspeer-private.h"

#include "gmsgnatscore-private.h"
#include "gmsgwire-private.h"

/* The number of bytes that are taken apart and checked before others have their turn; a frame
 * counts as additional bytes. */
#define TURN_SIZE (256 * 1024)
#define FRAME_COST 512

/* How long a worker that asks, or comes late with the same address, is told of the end of a
 * pipe. */
#define FAREWELL (30 * G_TIME_SPAN_SECOND)

struct _GMsgNatsPeer
{
  GMsgEndpoint     *endpoint; /* (unowned): outlives this */
  GMsgNatsPeerFunc  touched;  /* the owner's, with @data */
  gpointer          data;
  guint64           id;
  GMsgLink         *link;     /* (owned) (nullable): until its end */
  GMsgChunkReader  *reader;   /* (owned) */
  GMsgDecoder      *decoder;  /* (owned) (nullable): while there is a link */
  guint64           max_message_size;
  guint             capacity;
  gboolean          is_credited; /* the pipe gives credit */
  guint64           n_taken;  /* messages taken in total */
  guint64           n_credited; /* messages that may come in total */
  gint64            ended_at; /* monotonic µs; 0: not yet */
};

GMsgNatsPeer *
gmsg_nats_peer_new (GMsgEndpoint     *endpoint,
                    GMsgChunkRun     *run,
                    GMsgLink         *link,
                    GMsgNatsPeerFunc  touched,
                    gpointer          data)
{
  GMsgNatsPeer *self = g_new0 (GMsgNatsPeer, 1);
  GMsgOverflow overflow = gmsg_core->link_get_overflow (link);
  g_autofree char *secret = NULL;
  GMsgChunkWelcome welcome;
  GMsgLimits limits;

  gmsg_core->endpoint_get_limits (endpoint, &limits);
  self->endpoint = endpoint;
  self->touched = touched;
  self->data = data;
  self->id = gmsg_core->link_get_id (link);
  self->capacity = gmsg_core->link_get_capacity (link);
  self->is_credited = self->capacity > 0 && overflow != GMSG_OVERFLOW_DROP_OLDEST;
  self->n_credited = self->capacity;

  welcome = (GMsgChunkWelcome) { self->capacity, overflow, limits.max_message_size };
  secret = gmsg_core->endpoint_dup_secret (endpoint, self->id);
  self->reader = gmsg_chunk_reader_new (run, self->id, secret, &welcome);
  self->max_message_size = limits.max_message_size;
  return self;
}

void
gmsg_nats_peer_free (GMsgNatsPeer *self)
{
  gmsg_nats_peer_disconnect (self);
  gmsg_chunk_reader_free (self->reader);
  g_free (self);
}

guint64
gmsg_nats_peer_get_id (GMsgNatsPeer *self)
{
  return self->id;
}

gboolean
gmsg_nats_peer_is_open (GMsgNatsPeer *self)
{
  return gmsg_chunk_reader_is_open (self->reader);
}

/* Logs how often chunks of the pipe were repeated, refused or missing. */
static void
remark_counts (GMsgNatsPeer *self)
{
  GMsgChunkCounts counts;

  gmsg_chunk_reader_get_counts (self->reader, &counts);
  gmsg_core->endpoint_remark (self->endpoint,
                              g_strdup_printf ("pipe #%" G_GUINT64_FORMAT " took %" G_GUINT64_FORMAT
                                               " chunks, dropped %" G_GUINT64_FORMAT " that came "
                                               "again, refused %" G_GUINT64_FORMAT " messages, and "
                                               "asked %" G_GUINT64_FORMAT " times for what was "
                                               "missing",
                                               self->id, counts.n_taken, counts.n_doubled,
                                               counts.n_refused, counts.n_asked));
}

/* Ends this side, after which the reader only answers. @error (nullable) is for the worker. */
static GMsgLink *
end (GMsgNatsPeer *self,
     const GError *error)
{
  GMsgLink *link = g_steal_pointer (&self->link);

  g_clear_pointer (&self->decoder, gmsg_decoder_free);
  gmsg_chunk_reader_end (self->reader, error);
  self->ended_at = g_get_monotonic_time ();
  if (link != NULL)
    remark_counts (self);
  self->touched (self, self->data);
  return link;
}

/* The worker has broken the protocol. */
static void
fail (GMsgNatsPeer *self,
      const GError *error)
{
  GMsgLink *link = end (self, error);

  if (link == NULL)
    return;

  gmsg_core->link_end (link, error);
  gmsg_core->link_unref (link);
}

/* The worker has stopped, or has failed with @reason. */
static void
finish (GMsgNatsPeer *self,
        const GError *reason)
{
  GMsgLink *link = end (self, NULL);

  if (reason != NULL)
    gmsg_core->link_fail (link, reason);
  else
    gmsg_core->link_end (link, NULL);
  gmsg_core->link_unref (link);
}

static void
lose (GMsgNatsPeer *self)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *how = NULL;
  GMsgLimits limits;
  GMsgLink *link;

  gmsg_core->endpoint_get_limits (self->endpoint, &limits);
  how = g_strdup_printf ("nothing was heard from it for %u ms", limits.peer_timeout);
  error = g_error_new (GMSG_ERROR, GMSG_ERROR_CONNECTION,
                       "the router had heard nothing for %u ms, and has given the worker up",
                       limits.peer_timeout);
  link = end (self, error);
  gmsg_core->link_lose (link, how);
  gmsg_core->link_unref (link);
}

void
gmsg_nats_peer_disconnect (GMsgNatsPeer *self)
{
  g_autoptr (GError) error = NULL;
  GMsgLink *link;

  if (self->link == NULL)
    return;

  error = g_error_new_literal (GMSG_ERROR, GMSG_ERROR_CONNECTION, "the router closed it");
  link = end (self, error);
  gmsg_core->link_disconnect (link);
  gmsg_core->link_unref (link);
}

gboolean
gmsg_nats_peer_is_over (GMsgNatsPeer *self,
                        gint64        now)
{
  return self->ended_at != 0 && now >= self->ended_at + FAREWELL;
}

/* The greeting was signed with the secret of the pipe, which opens its link. */
static void
open_link (GMsgNatsPeer *self)
{
  g_autofree char *secret = gmsg_core->endpoint_dup_secret (self->endpoint, self->id);
  g_autoptr (GError) error = NULL;

  self->link = gmsg_core->endpoint_open_link (self->endpoint, self->id, secret, 0, self, &error);
  if (self->link == NULL)
    {
      fail (self, error);
      return;
    }

  self->decoder = gmsg_decoder_new ();
  gmsg_decoder_set_limit (self->decoder, self->max_message_size);
  gmsg_decoder_set_swapped (self->decoder, gmsg_chunk_reader_get_swapped (self->reader));
  gmsg_nats_peer_update (self);
}

gboolean
gmsg_nats_peer_hear (GMsgNatsPeer *self,
                     GBytes       *word,
                     gint64        now)
{
  g_autoptr (GError) error = NULL;

  switch (gmsg_chunk_reader_hear (self->reader, word, now, &error))
    {
    case GMSG_CHUNK_REFUSED:
      /* This tells the worker why, if it can be reached. */
      self->touched (self, self->data);
      return FALSE;

    case GMSG_CHUNK_OPENED:
      open_link (self);
      break;

    case GMSG_CHUNK_BROKEN:
      fail (self, error);
      break;

    case GMSG_CHUNK_DOUBLED:
    case GMSG_CHUNK_HEARD:
    case GMSG_CHUNK_NEWS:
    default:
      break;
    }

  self->touched (self, self->data);
  return TRUE;
}

/* Of a pipe that has ended, only the secret can be computed again. This state has the first
 * number again, so a worker that has received one before ignores it. */
GBytes *
gmsg_nats_peer_turn_away (GMsgEndpoint *endpoint,
                          GMsgChunkRun *run,
                          guint64       pipe_id,
                          GBytes       *word,
                          gint64        now)
{
  g_autofree char *secret = gmsg_core->endpoint_dup_secret (endpoint, pipe_id);
  GMsgChunkWelcome welcome = { 0 };
  GMsgChunkReader *reader = gmsg_chunk_reader_new (run, pipe_id, secret, &welcome);
  g_autoptr (GError) reason = NULL;
  GBytes *state;

  g_set_error (&reason, GMSG_ERROR, GMSG_ERROR_CONNECTION,
               "pipe %" G_GUINT64_FORMAT " has ended, or its address has expired; get another from "
               "dup_address()", pipe_id);
  gmsg_chunk_reader_end (reader, reason);
  gmsg_chunk_reader_hear (reader, word, now, NULL);
  state = gmsg_chunk_reader_pop (reader, now);
  gmsg_chunk_reader_free (reader);
  if (state != NULL)
    gmsg_core->endpoint_report (endpoint, g_strdup_printf ("refusing a worker: %s", reason->message));
  return state;
}

gboolean
gmsg_nats_peer_receive (GMsgNatsPeer *self,
                        GBytes       *chunk,
                        gint64        now)
{
  g_autoptr (GError) error = NULL;

  switch (gmsg_chunk_reader_receive (self->reader, chunk, now, &error))
    {
    case GMSG_CHUNK_REFUSED:
      return FALSE;

    case GMSG_CHUNK_BROKEN:
      fail (self, error);
      break;

    case GMSG_CHUNK_DOUBLED:
    case GMSG_CHUNK_HEARD:
    case GMSG_CHUNK_OPENED:
    case GMSG_CHUNK_NEWS:
    default:
      self->touched (self, self->data);
      break;
    }

  return TRUE;
}

void
gmsg_nats_peer_check (GMsgNatsPeer *self,
                      gint64        now)
{
  gmsg_chunk_reader_check (self->reader, now);
  self->touched (self, self->data);
}

void
gmsg_nats_peer_update (GMsgNatsPeer *self)
{
  gboolean starved = self->n_taken >= self->n_credited;
  GMsgNews news;

  gmsg_core->link_get_news (self->link, &news);
  if (self->is_credited)
    {
      self->n_credited = self->capacity + news.n_released;
      gmsg_chunk_reader_set_credit (self->reader, self->n_credited, starved);
    }
  if (news.cancelled)
    gmsg_chunk_reader_set_cancelled (self->reader);
  if (news.closed)
    gmsg_chunk_reader_set_closed (self->reader);

  self->touched (self, self->data);
}

/* Handles a frame; FALSE if nothing comes after it. */
static gboolean
take_frame (GMsgNatsPeer *self,
            GMsgFrame    *frame)
{
  g_autoptr (GError) error = NULL;
  gboolean success;

  switch ((int) frame->type)
    {
    case GMSG_FRAME_MESSAGE:
      self->n_taken++;
      success = gmsg_core->link_receive (self->link, g_steal_pointer (&frame->message), frame->cost,
                                         &error);
      break;

    case GMSG_FRAME_DROPPED:
      success = gmsg_core->link_count_dropped (self->link, frame->number, &error);
      break;

    case GMSG_FRAME_STOP:
      finish (self, NULL);
      return FALSE;

    case GMSG_FRAME_ERROR:
      finish (self, frame->error);
      return FALSE;

    default:
      success = FALSE;
      g_set_error (&error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "The worker sent a frame of type %d, which is not valid here", frame->type);
      break;
    }

  if (!success)
    fail (self, error);
  return success;
}

/* Takes the next bytes; FALSE if there are none for now. */
static gboolean
read_bytes (GMsgNatsPeer *self,
            gsize        *budget)
{
  g_autoptr (GError) error = NULL;
  gsize size;
  guint8 *space = gmsg_decoder_get_space (self->decoder, &size);
  gsize n_bytes = gmsg_chunk_reader_read (self->reader, space, MIN (size, *budget));

  if (n_bytes > 0)
    {
      *budget -= n_bytes;
      gmsg_decoder_advance (self->decoder, n_bytes);
      gmsg_core->link_set_partial (self->link, gmsg_decoder_get_partial (self->decoder));
      return TRUE;
    }

  if (gmsg_chunk_reader_is_complete (self->reader))
    {
      g_set_error_literal (&error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                           "The worker's stream ended without the frame that ends it");
      fail (self, error);
    }
  else if (gmsg_chunk_reader_is_lost (self->reader))
    {
      lose (self);
    }

  return FALSE;
}

/* FALSE if there is nothing more to do for now, or ever. */
static gboolean
work_once (GMsgNatsPeer *self,
           gsize        *budget)
{
  g_auto (GMsgFrame) frame = { .type = GMSG_FRAME_MESSAGE };
  g_autoptr (GError) error = NULL;

  switch (gmsg_decoder_next (self->decoder, &frame, budget, &error))
    {
    case GMSG_DECODED_MORE:
      return TRUE;

    case GMSG_DECODED_NOTHING:
      return read_bytes (self, budget);

    case GMSG_DECODED_FRAME:
      *budget -= MIN (*budget, FRAME_COST);
      return take_frame (self, &frame);

    case GMSG_DECODED_ERROR:
    default:
      fail (self, error);
      return FALSE;
    }
}

/* While the router has no room, the worker's bytes stay in the reader, whose window does not
 * advance. */
gboolean
gmsg_nats_peer_work (GMsgNatsPeer *self)
{
  gsize budget = TURN_SIZE;

  while (budget > 0)
    {
      if (self->link == NULL || !gmsg_core->link_may_read (self->link) ||
          !work_once (self, &budget))
        return FALSE;
    }

  return TRUE;
}

GBytes *
gmsg_nats_peer_pop (GMsgNatsPeer *self,
                    gint64        now)
{
  return gmsg_chunk_reader_pop (self->reader, now);
}

gint64
gmsg_nats_peer_get_deadline (GMsgNatsPeer *self)
{
  return gmsg_chunk_reader_get_deadline (self->reader);
}
