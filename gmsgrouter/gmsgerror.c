/* gmsgerror.c: the errors of the library
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgerror.h"

/**
 * gmsg_error_quark:
 *
 * Gets the error domain of the library, `GMSG_ERROR`.
 *
 * May be called from any thread.
 *
 * Returns: the domain
 *
 * Since: 1.0
 */
G_DEFINE_QUARK (gmsg-error-quark, gmsg_error)

G_DEFINE_ENUM_TYPE (GMsgError, gmsg_error,
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_ALREADY_STARTED, "already-started"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_NOT_RUNNING, "not-running"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_NOT_STARTED, "not-started"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_STOPPED, "stopped"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_CLOSED, "closed"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_UNKNOWN_RECEIVER, "unknown-receiver"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_TIMED_OUT, "timed-out"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_WRONG_THREAD, "wrong-thread"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_FULL, "full"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_PENDING, "pending"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_INVALID_ARGUMENT, "invalid-argument"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_EXPORTED, "exported"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_INVALID_ADDRESS, "invalid-address"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_CONNECTION, "connection"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_PEER_LOST, "peer-lost"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_PROTOCOL, "protocol"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_TOO_LARGE, "too-large"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_NOT_SUPPORTED, "not-supported"),
                    G_DEFINE_ENUM_VALUE (GMSG_ERROR_FAILED, "failed"))
