/* gmsgprocess.c: watches spawned workers
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* For syscall(). */
#define _GNU_SOURCE

#include "gmsgprocess-private.h"

#include "gmsgthread-private.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ready when its process has exited. */
typedef struct
{
  GSource source;
  int     fd;     /* (owned) */
} ProcessSource;

static gboolean
process_dispatch (GSource     *source,
                  GSourceFunc  callback,
                  gpointer     data)
{
  return callback (data);
}

static void
process_finalize (GSource *source)
{
  close (((ProcessSource *) source)->fd);
}

static GSourceFuncs process_funcs =
{
  .dispatch = process_dispatch,
  .finalize = process_finalize,
};

/* Returns a source that is ready when process @pid has exited; NULL if it has exited already
 * (ESRCH), or if the kernel, or a sandbox, offers no such source. Any thread may call it. */
GSource *
gmsg_process_source_new (GPid  pid,
                         int  *error_number)
{
  int fd = (int) syscall (SYS_pidfd_open, pid, 0);
  GSource *source;

  if (fd < 0)
    {
      *error_number = errno;
      return NULL;
    }

  source = g_source_new (&process_funcs, sizeof (ProcessSource));
  ((ProcessSource *) source)->fd = fd;
  g_source_add_unix_fd (source, fd, G_IO_IN);
  return source;
}

/* Tells whether process @pid has exited, even if its parent has not noticed. Any thread may call
 * it. */
gboolean
gmsg_process_has_exited (GPid pid)
{
  struct pollfd poll_fd = { .events = POLLIN };
  gboolean exited;

  poll_fd.fd = (int) syscall (SYS_pidfd_open, pid, 0);
  if (poll_fd.fd < 0)
    return kill (pid, 0) < 0 && errno == ESRCH;

  exited = poll (&poll_fd, 1, 0) > 0;
  close (poll_fd.fd);
  return exited;
}

struct _GMsgProcesses
{
  GCancellable *cancellable; /* (owned): ends all watches */
  guint         n_watches;
};

/* GSubprocess reports the exit with the status; but on a busy machine it does so late, and never
 * if the application takes the status away. So the kernel is asked, too. It reports that the
 * process has exited, and the status if nobody has taken it. If GSubprocess has taken it,
 * GSubprocess reports it, and gets some time to do so. */
#define STATUS_TIMEOUT_MSEC 500

typedef struct
{
  GMsgProcesses *processes; /* (unowned): outlives its watches */
  char          *name;      /* (owned) */
  GPid           pid;       /* 0: it had exited already */
  GMsgExitFunc   func;      /* (nullable): called once with @data, then NULL */
  gpointer       data;
  GSource       *source;    /* (owned) (nullable): waits for the kernel, then for GSubprocess */
} Watch;

GMsgProcesses *
gmsg_processes_new (void)
{
  GMsgProcesses *self = g_new0 (GMsgProcesses, 1);

  self->cancellable = g_cancellable_new ();
  return self;
}

/* Iterates the context until each watch has called its function. */
void
gmsg_processes_free (GMsgProcesses *self)
{
  g_cancellable_cancel (self->cancellable);
  while (self->n_watches > 0)
    g_main_context_iteration (g_main_context_get_thread_default (), TRUE);

  g_object_unref (self->cancellable);
  g_free (self);
}

static char *
describe_unknown (const char *name)
{
  return g_strdup_printf ("“%s” exited with an unknown status, because the application took it by "
                          "ignoring SIGCHLD or waiting for all its children",
                          name);
}

static char *
describe_status (const char *name,
                 int         status)
{
  return g_strdup_printf ("“%s” exited with status %d", name, status);
}

static char *
describe_signal (const char *name,
                 int         number)
{
  return g_strdup_printf ("“%s” was killed by signal %d (%s)", name, number, g_strsignal (number));
}

/* Returns (nullable) how a process has exited, and leaves the status to those that wait for it.
 * @failed: whether the status was other than 0. */
static char *
describe_zombie (GPid        pid,
                 const char *name,
                 gboolean   *failed)
{
  siginfo_t info = { .si_pid = 0 };

  if (waitid (P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != pid)
    return NULL;

  *failed = info.si_code != CLD_EXITED || info.si_status != 0;
  return info.si_code == CLD_EXITED ? describe_status (name, info.si_status)
                                    : describe_signal (name, info.si_status);
}

/* An application that ignores SIGCHLD, or waits for all its children, takes the status from
 * GLib, which then reports -1; before 2.78 it reported 0. */
static char *
describe_exit (GSubprocess *process,
               const char  *name)
{
  struct sigaction action;

  if ((sigaction (SIGCHLD, NULL, &action) == 0 &&
       (action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT) != 0)) ||
      g_subprocess_get_status (process) == -1)
    return describe_unknown (name);

  if (g_subprocess_get_status (process) == 0 && glib_check_version (2, 78, 0) != NULL)
    return g_strdup_printf ("“%s” exited with status 0, or with an unknown one, if the application "
                            "took it",
                            name);

  if (g_subprocess_get_if_exited (process))
    return describe_status (name, g_subprocess_get_exit_status (process));

  return describe_signal (name, g_subprocess_get_term_sig (process));
}

/* Reports the exit, once. */
static void
watch_tell (Watch      *watch,
            const char *how,
            gboolean    failed)
{
  GMsgExitFunc func = g_steal_pointer (&watch->func);

  gmsg_thread_clear_source (&watch->source);
  if (func != NULL)
    func (how, failed, watch->data);
}

static void
exited_cb (GObject      *object,
           GAsyncResult *result,
           gpointer      data)
{
  GSubprocess *process = G_SUBPROCESS (object);
  Watch *watch = data;
  g_autofree char *how = NULL;
  gboolean failed = FALSE;

  if (g_subprocess_wait_finish (process, result, NULL))
    {
      how = describe_exit (process, watch->name);
      failed = g_subprocess_get_status (process) > 0;
    }

  watch->processes->n_watches--;
  watch_tell (watch, how, failed);
  g_free (watch->name);
  g_free (watch);
}

static gboolean
status_missing_cb (gpointer data)
{
  Watch *watch = data;
  g_autofree char *how = describe_unknown (watch->name);

  watch_tell (watch, how, FALSE);
  return G_SOURCE_REMOVE;
}

static void
watch_wait_for_status (Watch *watch)
{
  gmsg_thread_clear_source (&watch->source);
  watch->source = gmsg_thread_attach_source (g_main_context_get_thread_default (),
                                             g_timeout_source_new (STATUS_TIMEOUT_MSEC),
                                             status_missing_cb, watch, "[gmsgrouter] exit status");
}

static gboolean
gone_cb (gpointer data)
{
  Watch *watch = data;
  gboolean failed;
  g_autofree char *how = describe_zombie (watch->pid, watch->name, &failed);

  if (how != NULL)
    watch_tell (watch, how, failed);
  else
    watch_wait_for_status (watch);
  return G_SOURCE_REMOVE;
}

/* An old kernel has no descriptors for processes; then GSubprocess alone reports. */
static void
watch_process (Watch *watch)
{
  int error_number;

  watch->source = gmsg_process_source_new (watch->pid, &error_number);
  if (watch->source != NULL)
    gmsg_thread_attach_source (g_main_context_get_thread_default (), watch->source, gone_cb, watch,
                               "[gmsgrouter] exit");
  else if (error_number == ESRCH)
    watch_wait_for_status (watch);
}

/* Calls @func once. Any thread may have spawned the process. Returns its id, or 0 if it has
 * already exited. */
GPid
gmsg_processes_watch (GMsgProcesses *self,
                      GSubprocess   *process,
                      const char    *name,
                      GMsgExitFunc   func,
                      gpointer       data)
{
  Watch *watch = g_new0 (Watch, 1);
  const char *identifier = g_subprocess_get_identifier (process);

  watch->processes = self;
  watch->name = g_strdup (name);
  watch->pid = identifier != NULL ? (GPid) g_ascii_strtoll (identifier, NULL, 10) : 0;
  watch->func = func;
  watch->data = data;
  self->n_watches++;
  g_subprocess_wait_async (process, self->cancellable, exited_cb, watch);
  if (watch->pid > 0)
    watch_process (watch);
  return watch->pid;
}
