/* gmsgerror.h: the errors of the library
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined(GMSG_INSIDE) && !defined(GMSG_COMPILATION)
#error "Only <gmsg.h> can be included directly."
#endif

#include <gmsgversion.h>

#include <glib-object.h>

G_BEGIN_DECLS

/**
 * GMSG_ERROR:
 *
 * The error domain of the library.
 *
 * The codes in this domain are those of [error@Error]. See [struct@GLib.Error]
 * for information on error domains.
 *
 * Since: 1.0
 */
#define GMSG_ERROR (gmsg_error_quark ())

/**
 * GMsgError:
 * @GMSG_ERROR_ALREADY_STARTED: The router is running already, or the sender
 *   was started before.
 * @GMSG_ERROR_NOT_RUNNING: The router is not running.
 * @GMSG_ERROR_NOT_STARTED: The sender has not been started.
 * @GMSG_ERROR_STOPPED: The sender has been stopped.
 * @GMSG_ERROR_CLOSED: The pipe has been closed.
 * @GMSG_ERROR_UNKNOWN_RECEIVER: The receiver has no open pipe in this router.
 * @GMSG_ERROR_TIMED_OUT: The call reached its time limit.
 * @GMSG_ERROR_WRONG_THREAD: The call must be made in the router's thread.
 * @GMSG_ERROR_FULL: The pipe is full.
 * @GMSG_ERROR_PENDING: An earlier call has not completed yet.
 * @GMSG_ERROR_INVALID_ARGUMENT: An argument is out of its range, or the object
 *   has no pipe.
 * @GMSG_ERROR_EXPORTED: The sender was handed over to another process.
 * @GMSG_ERROR_INVALID_ADDRESS: The address is invalid.
 * @GMSG_ERROR_CONNECTION: There is no connection to the router.
 * @GMSG_ERROR_PEER_LOST: The worker was lost: the sender was dropped, or its process or
 *   connection ended, before it stopped the sender.
 * @GMSG_ERROR_PROTOCOL: The process at the other end broke the protocol.
 * @GMSG_ERROR_TOO_LARGE: The message is larger than the router accepts.
 * @GMSG_ERROR_NOT_SUPPORTED: The call is not possible here, or not in this version.
 * @GMSG_ERROR_FAILED: The worker has failed; the message says why.
 *
 * The errors of this library.
 *
 * More codes may be added at the end.
 *
 * Since: 1.0
 */
typedef enum
{
  GMSG_ERROR_ALREADY_STARTED,
  GMSG_ERROR_NOT_RUNNING,
  GMSG_ERROR_NOT_STARTED,
  GMSG_ERROR_STOPPED,
  GMSG_ERROR_CLOSED,
  GMSG_ERROR_UNKNOWN_RECEIVER,
  GMSG_ERROR_TIMED_OUT,
  GMSG_ERROR_WRONG_THREAD,
  GMSG_ERROR_FULL,
  GMSG_ERROR_PENDING,
  GMSG_ERROR_INVALID_ARGUMENT,
  GMSG_ERROR_EXPORTED,
  GMSG_ERROR_INVALID_ADDRESS,
  GMSG_ERROR_CONNECTION,
  GMSG_ERROR_PEER_LOST,
  GMSG_ERROR_PROTOCOL,
  GMSG_ERROR_TOO_LARGE,
  GMSG_ERROR_NOT_SUPPORTED,
  GMSG_ERROR_FAILED,
} GMsgError;

#define GMSG_TYPE_ERROR (gmsg_error_get_type ())

GMSG_AVAILABLE_IN_1_0
GQuark gmsg_error_quark    (void);
GMSG_AVAILABLE_IN_1_0
GType  gmsg_error_get_type (void) G_GNUC_CONST;

G_END_DECLS
