/* digest.vapi: c/digest.h for Vala
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

[Compact]
[CCode (cname = "Digest", cheader_filename = "digest.h", free_function = "digest_free")]
public class Digest
{
  [CCode (cname = "digest_new")]
  public Digest ();
  [CCode (cname = "digest_update")]
  public void update ([CCode (array_length_type = "gsize")] uint8[] data);
  [CCode (cname = "digest_finish")]
  public string finish ();
}
