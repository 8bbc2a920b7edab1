/* gmsgundo-private.h: removes things that must not outlive a run, or the process
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Everything that others can see of a run, such as its socket, must be gone when the run has
 * ended, but its I/O thread may be busy then. So each such thing is registered with a function
 * that removes it. If the process exits while the run goes on, the functions are called, too: a
 * program that returns from main() leaves nothing behind. */
typedef struct _GMsgUndo GMsgUndo;

/* Waits for nobody, calls nothing here, and may be called twice. */
typedef void (*GMsgUndoFunc) (gpointer data);

GMsgUndo *gmsg_undo_new    (void);
void      gmsg_undo_free   (GMsgUndo     *self);  /* after gmsg_undo_end() */

/* Any thread */
void      gmsg_undo_add    (GMsgUndo     *self,
                            GMsgUndoFunc  func,
                            gpointer      data);  /* different for each */
gboolean  gmsg_undo_remove (GMsgUndo     *self,   /* FALSE: @func was called */
                            gpointer      data);
void      gmsg_undo_end    (GMsgUndo     *self);

G_END_DECLS
