/* worker.c: a process that works for a test
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* For the types of files. */
#define _GNU_SOURCE

#include "work.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* worker [wait | ready | scarce] NAME N [ADDRESS]: does a work of work.c with this address, or the
 * one in the environment. With “wait” it opens the address only when its standard input has ended;
 * “ready” does the same, and prints a line before. With “scarce” it first tries with too few
 * descriptors. When its standard input has ended, it exits with the work's result; if the router
 * refuses it, with 99.
 *
 * worker closed NAME N: does a work without standard streams.
 *
 * worker router CAPACITY: runs a router with one pipe, prints its address and each message, until
 * it is killed.
 *
 * worker router-exits 0: starts a router, prints an address, and returns from main().
 *
 * worker router-forks 0: runs a router, prints the addresses of two pipes, and has a child that
 * lives until the standard input ends.
 *
 * worker sockets 0: exits with 7 if it has inherited a socket. */

static void
message_cb (GMsgReceiver *receiver,
            GVariant     *message,
            gpointer      user_data)
{
  printf ("%d\n", g_variant_get_int32 (message));
  fflush (stdout);
}

static void
run_router (guint capacity)
{
  g_autoptr (GMsgRouter) router = gmsg_router_new (NULL);
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = NULL;
  g_autofree char *address = NULL;

  gmsg_router_start (router, NULL);
  sender = capacity == 0 ? gmsg_router_pipe (router, &receiver, NULL)
                         : gmsg_router_pipe_bounded (router, capacity, GMSG_OVERFLOW_BLOCK,
                                                     &receiver, NULL);
  g_signal_connect (receiver, "message", G_CALLBACK (message_cb), NULL);
  address = gmsg_sender_dup_address (sender, NULL);
  printf ("%s\n", address);
  fflush (stdout);
  while (TRUE)
    g_main_context_iteration (NULL, TRUE);
}

static void
run_forking_router (void)
{
  g_autoptr (GMsgRouter) router = gmsg_router_new (NULL);

  gmsg_router_start (router, NULL);
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (GMsgReceiver) receiver = NULL;
      g_autoptr (GMsgSender) sender = gmsg_router_pipe (router, &receiver, NULL);
      g_autofree char *address = gmsg_sender_dup_address (sender, NULL);

      printf ("%s\n", address);
    }

  if (fork () == 0)
    {
      wait_for_input_end ();
      _exit (0);
    }

  fflush (stdout);
  while (TRUE)
    g_main_context_iteration (NULL, TRUE);
}

static int
look_for_sockets (void)
{
  struct stat found;

  for (int fd = STDERR_FILENO + 1; fd < 1024; fd++)
    if (fstat (fd, &found) == 0 && S_ISSOCK (found.st_mode))
      return 7;

  return 0;
}

/* Leaves a running router to exit(). */
static void
leave_router (void)
{
  /* Volatile: the compiler must keep them where the leak checker sees them. */
  static gpointer volatile kept[3];
  GMsgRouter *router = kept[0] = gmsg_router_new (NULL);
  GMsgReceiver *receiver = NULL;
  GMsgSender *sender = NULL;
  g_autofree char *address = NULL;

  gmsg_router_start (router, NULL);
  sender = kept[1] = gmsg_router_pipe (router, &receiver, NULL);
  kept[2] = receiver;
  address = gmsg_sender_dup_address (sender, NULL);
  printf ("%s\n", address);
}

/* Tries to open the pipe, each time with one more descriptor left. */
static GMsgSender *
open_scarce (void)
{
  struct rlimit limit = { 64, 64 };
  int fds[64];
  guint n_fds = 0;
  GMsgSender *sender = NULL;

  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  while ((fds[n_fds] = open ("/", O_RDONLY)) >= 0)
    n_fds++;

  for (guint n_tries = 0; sender == NULL; n_tries++)
    {
      g_autoptr (GError) error = NULL;

      sender = gmsg_sender_new_from_environment (&error);
      if (sender == NULL)
        {
          g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
          close (fds[--n_fds]);
        }
      else
        {
          /* It takes two contexts and the socket. */
          g_assert_cmpuint (n_tries, ==, 3);
        }
    }

  while (n_fds > 0)
    close (fds[--n_fds]);
  return sender;
}

int
main (int    argc,
      char **argv)
{
  g_autoptr (GError) error = NULL;
  gboolean scarce = FALSE;
  GMsgSender *sender;
  int status;

  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);

  if (argc > 2 && (g_str_equal (argv[1], "wait") || g_str_equal (argv[1], "ready")))
    {
      if (g_str_equal (argv[1], "ready"))
        {
          g_type_ensure (GMSG_TYPE_SENDER);
          printf ("0\n");
          fflush (stdout);
        }
      wait_for_input_end ();
      argc--;
      argv++;
    }

  if (argc > 2 && g_str_equal (argv[1], "closed"))
    {
      /* Writing to a closed stream must fail, or the library has opened its own there. */
      int code;

      for (int fd = 0; fd <= STDERR_FILENO; fd++)
        close (fd);
      sender = gmsg_sender_new_from_environment (NULL);
      code = sender == NULL || write (STDERR_FILENO, "a line\n", 7) >= 0 ||
             write (STDOUT_FILENO, "a line\n", 7) >= 0;
      return code != 0 ? 97 : work_run (sender, argv[2], atoi (argv[3]));
    }

  if (argc > 2 && g_str_equal (argv[1], "scarce"))
    {
      scarce = TRUE;
      argc--;
      argv++;
    }

  if (argc == 3 && g_str_equal (argv[1], "router"))
    run_router ((guint) atoi (argv[2]));

  if (argc == 3 && g_str_equal (argv[1], "router-forks"))
    run_forking_router ();

  if (argc == 3 && g_str_equal (argv[1], "sockets"))
    return look_for_sockets ();

  if (argc == 3 && g_str_equal (argv[1], "router-exits"))
    {
      leave_router ();
      return 0;
    }

  if (argc == 3 && g_str_equal (argv[1], "unopened"))
    _exit (atoi (argv[2]));

  g_assert_true (argc == 3 || argc == 4);
  sender = argc == 4 ? gmsg_sender_new_for_address (argv[3], &error)
           : scarce  ? open_scarce ()
                     : gmsg_sender_new_from_environment (&error);
  if (sender == NULL)
    {
      g_printerr ("%s\n", error->message);
      return error->domain == GMSG_ERROR && error->code == GMSG_ERROR_CONNECTION ? 99 : 98;
    }

  status = work_run (sender, argv[1], atoi (argv[2]));
  wait_for_input_end ();
  return status;
}
