/* GMsg.js: hides the overrides from the tests of the raw typelib
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* exported _init */

// GJS takes the first file that it finds, and does not accept one without this.
function _init() {
}
