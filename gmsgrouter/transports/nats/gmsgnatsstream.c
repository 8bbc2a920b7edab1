/* gmsgnatsstream.c: the stream of a run, and its consumer
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgnatsstream-private.h"

#include "gmsgchunks-private.h"

#include <string.h>

/* A stream that nobody has read or written for this long was left by a router that was killed: a
 * living router sends markers every few seconds. */
#define STREAM_PREFIX "GMSG-"
#define DESCRIPTION "gmsgrouter"
#define MAX_AGE_SECONDS 3600

#define NSEC_PER_USEC G_GINT64_CONSTANT (1000)
#define NSEC_PER_MSEC G_GINT64_CONSTANT (1000000)
#define NSEC_PER_SEC G_GINT64_CONSTANT (1000000000)

/* How long the server may take to answer, in ms; and when nobody has time to wait any more. */
#define ANSWER_TIMEOUT 2000
#define LAST_ANSWER_TIMEOUT 1000

/* After how long the server forgets a consumer when nobody has asked for messages, and how long
 * it remembers the ids of messages, which these do not have. */
#define CONSUMER_THRESHOLD (60 * NSEC_PER_SEC)
#define DUPLICATES_WINDOW (100 * NSEC_PER_MSEC)

/* The tokens of a reply subject: “$JS.ACK.STREAM.CONSUMER.DELIVERED.SSEQ.CSEQ.TIME.PENDING”, and
 * in newer ones with a domain and an account before the stream. */
#define MIN_TOKENS 9
#define MIN_TOKENS_WITH_DOMAIN 11

G_DEFINE_AUTOPTR_CLEANUP_FUNC (jsStreamInfo, jsStreamInfo_Destroy)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (jsStreamInfoList, jsStreamInfoList_Destroy)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (jsConsumerInfo, jsConsumerInfo_Destroy)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (jsCtx, jsCtx_Destroy)

void
gmsg_nats_set_up_free (gpointer data)
{
  GMsgNatsSetUp *self = data;

  g_free (self->consumer);
  g_free (self->reason);
  g_free (self->subject);
  g_free (self->stream);
  g_free (self);
}

/* Texts of libnats begin with a place in its source: “(jsm.c:1033): ”. */
static const char *
skip_place (const char *text)
{
  const char *end = text != NULL && text[0] == '(' ? strstr (text, "): ") : NULL;

  return end != NULL ? end + strlen ("): ") : text;
}

/* Returns FALSE. */
static gboolean
set_reason (GMsgNatsSetUp *self,
            const char    *what,
            natsStatus     status)
{
  const char *why;

  if (status == NATS_NO_RESPONDERS)
    why = "JetStream is not enabled there, or not for this account";
  else if (status == NATS_TIMEOUT)
    why = "JetStream did not answer; see whether the account may publish to “$JS.API.>” and "
          "subscribe to “gmsg.>”";
  else
    why = skip_place (nats_GetLastError (NULL));

  g_free (self->reason);
  self->reason = g_strdup_printf ("%s: %s", what, why != NULL ? why : natsStatus_GetText (status));
  return FALSE;
}

static gboolean
make_stream (GMsgNatsSetUp *self,
             jsCtx         *js)
{
  jsStreamConfig config;
  jsErrCode code = 0;
  natsStatus status;

  jsStreamConfig_Init (&config);
  config.Name = self->stream;
  config.Description = DESCRIPTION;
  config.Subjects = (const char **) &self->subject;
  config.SubjectsLen = 1;
  config.Retention = js_LimitsPolicy;
  config.Discard = js_DiscardNew;
  config.MaxAge = MAX_AGE_SECONDS * NSEC_PER_SEC;
  config.MaxBytes = (int64_t) self->max_bytes;
  config.MaxMsgSize = GMSG_CHUNK_MAX_SIZE + GMSG_CHUNK_OVERHEAD;
  config.Storage = self->in_memory ? js_MemoryStorage : js_FileStorage;
  config.Replicas = self->replicas;
  config.Duplicates = DUPLICATES_WINDOW;

  status = js_AddStream (NULL, js, &config, NULL, &code);
  return status == NATS_OK || set_reason (self, "the stream can't be made", status);
}

/* If a server has lost its newest messages, the existing stream ends before the part that was
 * read. */
static gboolean
find_stream (GMsgNatsSetUp *self,
             jsCtx         *js)
{
  g_autoptr (jsStreamInfo) info = NULL;
  jsErrCode code = 0;
  natsStatus status = js_GetStreamInfo (&info, js, self->stream, NULL, &code);

  if (status == NATS_OK)
    {
      self->went_back = info->State.LastSeq < self->last_read;
      self->first = MIN (info->State.LastSeq, self->last_read) + 1;
      return TRUE;
    }

  if (status != NATS_NOT_FOUND && code != JSStreamNotFoundErr)
    return set_reason (self, "the stream can't be found", status);

  self->went_back = self->was_made;
  self->first = 1;
  return make_stream (self, js);
}

static gboolean
make_consumer (GMsgNatsSetUp *self,
               jsCtx         *js)
{
  g_autoptr (jsConsumerInfo) info = NULL;
  jsConsumerConfig config;
  jsErrCode code = 0;
  natsStatus status;

  jsConsumerConfig_Init (&config);
  config.AckPolicy = js_AckNone;
  config.DeliverPolicy = js_DeliverByStartSequence;
  config.OptStartSeq = self->first;
  config.ReplayPolicy = js_ReplayInstant;
  config.InactiveThreshold = CONSUMER_THRESHOLD;
  config.MemoryStorage = true;
  config.Replicas = 1;

  status = js_AddConsumer (&info, js, self->stream, &config, NULL, &code);
  if (status != NATS_OK)
    return set_reason (self, "the stream can't be read", status);

  g_free (self->consumer);
  self->consumer = g_strdup (info->Name);
  return TRUE;
}

/* @now is in ns, as the server's times. */
static gboolean
is_left_behind (const jsStreamInfo *info,
                gint64              now)
{
  gint64 last = MAX (info->State.LastTime, info->Created);

  return g_str_has_prefix (info->Config->Name, STREAM_PREFIX) &&
         g_strcmp0 (info->Config->Description, DESCRIPTION) == 0 &&
         info->State.Consumers == 0 && last < now - MAX_AGE_SECONDS * NSEC_PER_SEC;
}

/* The account may lack the permission for this, which does no harm. */
static void
delete_left_behind (GMsgNatsSetUp *self,
                    jsCtx         *js)
{
  g_autoptr (jsStreamInfoList) list = NULL;
  jsErrCode code = 0;

  if (js_Streams (&list, js, NULL, &code) != NATS_OK)
    return;

  for (int i = 0; i < list->Count; i++)
    {
      const jsStreamInfo *info = list->List[i];

      if (strcmp (info->Config->Name, self->stream) != 0 &&
          is_left_behind (info, self->now * NSEC_PER_USEC))
        js_DeleteStream (js, info->Config->Name, NULL, &code);
    }
}

static natsStatus
use_jetstream (jsCtx          **js,
               natsConnection  *nc,
               int64_t          timeout)
{
  jsOptions options;

  jsOptions_Init (&options);
  options.Wait = timeout;
  return natsConnection_JetStream (js, nc, &options);
}

void
gmsg_nats_set_up_run (natsConnection *nc,
                      gpointer        data)
{
  GMsgNatsSetUp *self = data;
  g_autoptr (jsCtx) js = NULL;
  natsStatus status;

  if (nc == NULL)
    return;

  status = use_jetstream (&js, nc, ANSWER_TIMEOUT);
  if (status != NATS_OK)
    {
      set_reason (self, "JetStream can't be used", status);
      return;
    }

  self->success = find_stream (self, js) && make_consumer (self, js);
  if (self->success && !self->was_made)
    delete_left_behind (self, js);
}

void
gmsg_nats_delete_run (natsConnection *nc,
                      gpointer        stream)
{
  g_autoptr (jsCtx) js = NULL;
  jsErrCode code = 0;

  if (nc != NULL && use_jetstream (&js, nc, LAST_ANSWER_TIMEOUT) == NATS_OK)
    js_DeleteStream (js, stream, NULL, &code);
}

gboolean
gmsg_nats_parse_reply (const char *reply,
                       const char *consumer,
                       guint64    *stream_sequence,
                       guint64    *consumer_sequence)
{
  g_auto (GStrv) tokens = NULL;
  guint n_tokens, skip;

  if (reply == NULL || !g_str_has_prefix (reply, "$JS.ACK."))
    return FALSE;

  tokens = g_strsplit (reply, ".", 16);
  n_tokens = g_strv_length (tokens);
  if (n_tokens != MIN_TOKENS && n_tokens < MIN_TOKENS_WITH_DOMAIN)
    return FALSE;

  skip = n_tokens == MIN_TOKENS ? 0 : 2;
  return strcmp (tokens[3 + skip], consumer) == 0 &&
         g_ascii_string_to_unsigned (tokens[5 + skip], 10, 1, G_MAXUINT64, stream_sequence, NULL) &&
         g_ascii_string_to_unsigned (tokens[6 + skip], 10, 1, G_MAXUINT64, consumer_sequence, NULL);
}
