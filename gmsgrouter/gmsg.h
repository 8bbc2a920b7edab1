/* gmsg.h: the one header that applications include
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#define GMSG_INSIDE

#include <gmsgversion.h>
#include <gmsgerror.h>
#include <gmsgsender.h>
#include <gmsgreceiver.h>
#include <gmsgrouter.h>
#include <gmsginterrupt.h>

#undef GMSG_INSIDE
