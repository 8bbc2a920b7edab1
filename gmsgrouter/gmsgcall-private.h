/* gmsgcall-private.h: one call that waits for messages
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgpipe-private.h"

G_BEGIN_DECLS

#define GMSG_TYPE_CALL (gmsg_call_get_type ())

/* The result of an asynchronous call, which waits where it must. */
G_DECLARE_FINAL_TYPE (GMsgCall, gmsg_call, GMSG, CALL, GObject)

/* What the one that was asked does about the answer, in the thread that gives it. */
typedef struct
{
  /* Before the callback: counts @n_messages. Runs no code of the application. */
  void (*counted)  (GObject  *source,
                    guint     n_messages);
  /* After it: emits notifications, the state's if it has changed, else those of the messages. */
  void (*answered) (GObject  *source,
                    gboolean  state_changed);
} GMsgCallFuncs;

/* The caller's thread */
GMsgCall  *gmsg_call_new          (gpointer              source,
                                   gpointer              tag,
                                   GCancellable         *cancellable,
                                   GAsyncReadyCallback   callback,
                                   gpointer              user_data);
void       gmsg_call_fail         (GMsgCall             *self,
                                   GMsgChannel          *channel,
                                   GError               *error);
gboolean   gmsg_call_wait         (GMsgCall             *self,
                                   GMsgPipe             *pipe,
                                   guint                 max,
                                   const GMsgCallFuncs  *funcs);

/* Any thread, once the callback has the call */
GPtrArray *gmsg_call_take_result  (GAsyncResult         *result,
                                   gpointer              source,
                                   gpointer              tag,
                                   GError              **error);

G_END_DECLS
