/* gmsglink-private.h: what a pipe knows of a transport
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The way to a sender in another process. A transport embeds this at the start of a
 * structure of its own; the pipe, the table and the router see no more of it. */
typedef struct _GMsgLink GMsgLink;

typedef struct
{
  /* The pipe was cancelled or closed, or has room again: the worker is to be told. Called
   * in any thread, with the channel's lock held: it only passes the word on. */
  void (*touch) (GMsgLink *self);
  void (*free)  (GMsgLink *self);
} GMsgLinkFuncs;

struct _GMsgLink
{
  gatomicrefcount      ref_count;
  const GMsgLinkFuncs *funcs;
};

GMsgLink *gmsg_link_ref   (GMsgLink *self);
void      gmsg_link_unref (GMsgLink *self);

G_END_DECLS
