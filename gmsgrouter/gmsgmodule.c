/* gmsgmodule.c: loads transports that are modules
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* For secure_getenv(). */
#define _GNU_SOURCE

#include "gmsgmodule-private.h"

#include <gmodule.h>
#include <stdlib.h>

/* The directories, separated by colons, that are searched for modules in place of
 * GMSG_TRANSPORT_DIR, which the build sets. This is for the build tree. A program that runs with
 * more rights than its caller must not load the caller's code. */
#define PATH_VARIABLE "GMSG_TRANSPORT_PATH"

#define CORE_VALUE(name) .name = gmsg_##name,

static const GMsgCore core =
{
  .version = GMSG_CORE_VERSION,
  .size = sizeof (GMsgCore),
  GMSG_CORE_FUNCTIONS (CORE_VALUE)
};

/* Returns (transfer full) the file of the module, or the place where it should be. */
static char *
find_file (const char *name)
{
  const char *path = secure_getenv (PATH_VARIABLE);
  g_autofree char *base = g_strconcat ("libgmsg", name, ".so", NULL);
  g_auto (GStrv) dirs = g_strsplit (path != NULL ? path : GMSG_TRANSPORT_DIR, ":", -1);
  char *file = NULL;

  for (char **dir = dirs; *dir != NULL; dir++)
    {
      g_free (file);
      file = g_build_filename (*dir, base, NULL);
      if (g_file_test (file, G_FILE_TEST_EXISTS))
        break;
    }

  return file != NULL ? file : g_build_filename (GMSG_TRANSPORT_DIR, base, NULL);
}

static gboolean
check_file (const char  *name,
            const char  *file,
            GError     **error)
{
  g_autofree char *display_name = g_filename_display_name (file);

  if (g_file_test (file, G_FILE_TEST_EXISTS))
    return TRUE;

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED,
               "The transport of the address is not installed: “%s” does not exist; install the "
               "package libgmsgrouter-1-%s, or build gmsgrouter with -D%s=enabled",
               display_name, name, name);
  return FALSE;
}

static const GMsgTransport *
get_transport (GModule     *module,
               const char  *file,
               GError     **error)
{
  g_autofree char *display_name = g_filename_display_name (file);
  const GMsgTransport *transport = NULL;
  gpointer function;

  if (!g_module_symbol (module, GMSG_MODULE_FUNC, &function))
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED,
                   "“%s” is not a transport of gmsgrouter; install the library and its transports "
                   "again",
                   display_name);
      return NULL;
    }

  transport = ((GMsgModuleFunc) function) (&core);
  if (transport != NULL && transport->version == GMSG_TRANSPORT_VERSION &&
      transport->size == sizeof (GMsgTransport))
    return transport;

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED,
               "“%s” was built for another version of gmsgrouter; install the library and its "
               "transports from the same build",
               display_name);
  return NULL;
}

static const GMsgTransport *
load (const char  *name,
      GError     **error)
{
  g_autofree char *file = find_file (name);
  const GMsgTransport *transport;
  GModule *module;

  if (!check_file (name, file, error))
    return NULL;

  module = g_module_open (file, G_MODULE_BIND_LOCAL);
  if (module == NULL)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED,
                   "Could not load the transport of the address: %s; install the libraries that it "
                   "needs",
                   g_module_error ());
      return NULL;
    }

  transport = get_transport (module, file, error);
  if (transport == NULL)
    {
      g_module_close (module);
      return NULL;
    }

  /* The module stays loaded, since its threads may run as long as the process. */
  g_module_make_resident (module);
  g_debug ("loaded “%s”", file);
  return transport;
}

/* A module that could not be loaded is tried again at the next call: it may have been installed
 * meanwhile. */
const GMsgTransport *
gmsg_module_load (const char  *name,
                  GError     **error)
{
  static GMutex lock;
  static GHashTable *transports; /* (element-type utf8 GMsgTransport): lock */
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&lock);
  const GMsgTransport *transport;

  if (transports == NULL)
    transports = g_hash_table_new (g_str_hash, g_str_equal);

  transport = g_hash_table_lookup (transports, name);
  if (transport == NULL)
    transport = load (name, error);
  if (transport != NULL)
    g_hash_table_insert (transports, (gpointer) name, (gpointer) transport);

  return transport;
}
