/* gmsgsource.c: a fair source
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgsource-private.h"

#include <glib-object.h>

/* No constant priority is right: below GTK's redraws a busy animation starves the
 * messages, above them a flood of messages stops the animation. So there are two
 * sources. The one at the given priority is ready whenever there is something to
 * do; the other, at the default priority, once it has waited for too long.
 *
 * Both can recurse: in a nested main loop, such as a modal dialog's, messages are
 * still delivered. */
struct _GMsgSource
{
  GSource *usual;  /* (owned) */
  GSource *urgent; /* (owned) */
};

typedef struct
{
  GSource                source;
  const GMsgSourceFuncs *funcs;
  gpointer               data;   /* (owned): until the source is finalized, since another
                                  * thread may be looking while the source is destroyed */
  gboolean               urgent;
  gboolean               raises; /* atomic; of the urgent one: it is above the usual one */
} Half;

/* @timeout (ms) is where prepare() says how long to sleep; NULL in check(). */
static gboolean
is_ready (Half *half,
          int  *timeout)
{
  gint64 deadline, left;

  if (!half->funcs->is_ready (half->data, &deadline))
    return FALSE;

  if (!half->urgent)
    return TRUE;

  if (deadline == GMSG_SOURCE_NEVER || !g_atomic_int_get (&half->raises))
    return FALSE;

  left = deadline - g_source_get_time (&half->source);
  if (left <= 0)
    return TRUE;

  if (timeout != NULL)
    *timeout = (int) MIN ((left + 999) / 1000, G_MAXINT);
  return FALSE;
}

static gboolean
source_prepare (GSource *source,
                int     *timeout)
{
  *timeout = -1;
  return is_ready ((Half *) source, timeout);
}

static gboolean
source_check (GSource *source)
{
  return is_ready ((Half *) source, NULL);
}

static gboolean
source_dispatch (GSource     *source,
                 GSourceFunc  callback,
                 gpointer     user_data)
{
  Half *half = (Half *) source;

  return half->funcs->dispatch (half->data);
}

static void
source_finalize (GSource *source)
{
  Half *half = (Half *) source;

  half->funcs->unref (half->data);
}

static GSourceFuncs source_funcs =
{
  .prepare = source_prepare,
  .check = source_check,
  .dispatch = source_dispatch,
  .finalize = source_finalize,
};

static GSource *
attach_half (const GMsgSourceFuncs *funcs,
             gpointer               data,
             GMainContext          *context,
             int                    priority,
             const char            *name,
             gboolean               urgent)
{
  GSource *source = g_source_new (&source_funcs, sizeof (Half));
  Half *half = (Half *) source;

  half->funcs = funcs;
  half->data = funcs->ref (data);
  half->urgent = urgent;

  g_source_set_static_name (source, name);
  g_source_set_priority (source, priority);
  g_source_set_can_recurse (source, TRUE);
  g_source_attach (source, context);

  return source;
}

static void
update_raises (GMsgSource *self)
{
  g_atomic_int_set (&((Half *) self->urgent)->raises,
                    g_source_get_priority (self->usual) > G_PRIORITY_DEFAULT);
}

/* Each of the two sources holds a reference to @data. */
GMsgSource *
gmsg_source_attach (const GMsgSourceFuncs *funcs,
                    gpointer               data,
                    GMainContext          *context,
                    int                    priority,
                    const char            *name)
{
  GMsgSource *self = g_new0 (GMsgSource, 1);

  self->usual = attach_half (funcs, data, context, priority, name, FALSE);
  self->urgent = attach_half (funcs, data, context, G_PRIORITY_DEFAULT, name, TRUE);
  update_raises (self);

  return self;
}

void
gmsg_source_set_priority (GMsgSource *self,
                          int         priority)
{
  g_source_set_priority (self->usual, priority);
  update_raises (self);
}

/* Neither is_ready() nor dispatch() is called any more, but for what another thread has
 * begun if it iterates the context. */
void
gmsg_source_destroy (GMsgSource *self)
{
  g_source_destroy (self->usual);
  g_source_destroy (self->urgent);
}

/* Lets go of the sources without destroying them: they end themselves when their
 * dispatch returns G_SOURCE_REMOVE. */
void
gmsg_source_free (GMsgSource *self)
{
  g_source_unref (self->usual);
  g_source_unref (self->urgent);
  g_free (self);
}
