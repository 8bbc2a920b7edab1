/* module.c: tests how transports that are modules are found and loaded
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

#include <glib/gstdio.h>

#define ADDRESS "nats://localhost:4222"

/* A directory that has the module after a test has put one there. */
static char *directory, *file;

static void
put_module (const char *name)
{
  g_autofree char *variable = g_strdup_printf ("GMSG_TEST_MODULE_%s", name);
  g_autoptr (GFile) link = g_file_new_for_path (file);
  const char *target = g_getenv (variable);

  g_assert_nonnull (target);
  g_unlink (file);
  g_assert_true (g_file_make_symbolic_link (link, target, NULL, NULL));
}

static void
assert_listen_fails (Fixture    *fixture,
                     const char *pattern)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (gmsg_router_listen (fixture->router, ADDRESS, &error));
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED);
  if (!g_pattern_match_simple (pattern, error->message))
    g_error ("expected “%s”, found “%s”", pattern, error->message);
}

/* The error says which file and which package are missing; and everything else works. */
static void
test_missing (Fixture *fixture)
{
  static const char * const addresses[] =
  {
    "nats://localhost", "tls://localhost", "nats:servers=localhost,run=0,pipe=1", "nats:", "tls:",
  };
  g_autofree char *pattern = g_strdup_printf ("The transport of the address is not installed: “%s” "
                                              "does not exist; install the package "
                                              "libgmsgrouter-1-nats, or *",
                                              file);
  Pipe *pipe;
  g_autofree char *address = NULL;
  g_autoptr (GError) error = NULL;

  g_unlink (file);
  assert_listen_fails (fixture, pattern);

  for (guint i = 0; i < G_N_ELEMENTS (addresses); i++)
    {
      g_assert_null (gmsg_sender_new_for_address (addresses[i], &error));
      g_assert_error (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED);
      g_assert_true (g_pattern_match_simple (pattern, error->message));
      g_clear_error (&error);
    }

  pipe = open_pipe (fixture);
  address = gmsg_sender_dup_address (pipe->sender, &error);
  g_assert_no_error (error);
  g_assert_true (g_str_has_prefix (address, "unix:"));
}

static void
test_no_transport (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  g_unlink (file);
  g_assert_true (g_file_set_contents (file, "nothing", -1, &error));
  assert_listen_fails (fixture, "Could not load the transport of the address: *libgmsgnats.so*; *");

  put_module ("NAME");
  assert_listen_fails (fixture, "*libgmsgnats.so” is not a transport of gmsgrouter; *");
}

static void
test_versions (Fixture *fixture)
{
  static const char * const names[] = { "VERSION", "SIZE", "CORE" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      put_module (names[i]);
      assert_listen_fails (fixture, "*libgmsgnats.so” was built for another version of gmsgrouter; *");
    }
}

static gpointer
load_thread (gpointer data)
{
  g_autoptr (GMsgRouter) router = gmsg_router_new (NULL);
  g_autoptr (GError) error = NULL;

  g_assert_false (gmsg_router_listen (router, "tls://localhost", &error));
  g_assert_error (error, g_quark_from_string ("loaded"), 1);
  g_assert_cmpstr (error->message, ==, "The module has seen “tls://localhost”");
  return NULL;
}

/* This comes last: once loaded, it stays. */
static void
test_loaded (Fixture *fixture)
{
  GThread *threads[8];

  put_module ("GOOD");
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("load", load_thread, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);

  g_unlink (file);
  load_thread (NULL);
}

int
main (int    argc,
      char **argv)
{
  g_autofree char *path = NULL;
  int result;

  test_init (&argc, &argv);
  directory = g_dir_make_tmp ("gmsgrouter-module-XXXXXX", NULL);
  g_assert_nonnull (directory);
  file = g_build_filename (directory, "libgmsgnats.so", NULL);
  path = g_strconcat ("/nonexistent:", directory, NULL);
  g_setenv ("GMSG_TRANSPORT_PATH", path, TRUE);

  fixture_test ("/module/p19/missing", test_missing);
  fixture_test ("/module/p19/no-transport", test_no_transport);
  fixture_test ("/module/p19/versions", test_versions);
  fixture_test ("/module/p19/loaded", test_loaded);

  result = g_test_run ();
  g_unlink (file);
  g_rmdir (directory);
  g_free (file);
  g_free (directory);
  return result;
}
