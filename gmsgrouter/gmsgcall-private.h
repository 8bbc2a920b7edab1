/* gmsgcall-private.h: one call that waits for messages
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgpipe-private.h"

G_BEGIN_DECLS

#define GMSG_TYPE_CALL (gmsg_call_get_type ())

/* The result of an asynchronous call, which waits where it was made. */
G_DECLARE_FINAL_TYPE (GMsgCall, gmsg_call, GMSG, CALL, GObject)

/* How the object that was asked handles the answer, in the thread that answers. */
typedef struct
{
  /* Before the callback: counts @n_messages. Runs no code of the application. */
  void (*counted)  (GObject  *source,
                    guint     n_messages);
  /* After the callback: emits notifications, of the state if it has changed, otherwise of the
   * messages. */
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

/* Any thread, after the callback has received the call */
GPtrArray *gmsg_call_take_result  (GAsyncResult         *result,
                                   gpointer              source,
                                   gpointer              tag,
                                   GError              **error);

G_END_DECLS
