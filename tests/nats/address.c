/* address.c: tests addresses of NATS servers
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgnatsaddress-private.h"

#include <gmsg.h>
#include <string.h>

#define RUN "ABCDEFGHIJKLMNOPQRSTuv"
#define SECRET "00112233445566778899aabbccddeeff"
#define PIPE "run=" RUN ",pipe=7,secret=" SECRET
/* No error may contain this. */
#define PASSWORD "swordfish"

/* Wrong addresses, and a word of the error for each. */
static const struct
{
  const char *address;
  gboolean    names_pipe;
  const char *word;
} wrong[] =
{
  { "nats:", FALSE, "names no server" },
  { "nats:a", FALSE, "without “=”" },
  { "nats://", FALSE, "“host" },
  { "tls://", FALSE, "“host" },
  { "tls:servers=a", FALSE, "begins with neither" },
  { "nats:replicas=1", FALSE, "names no server" },
  { "nats:servers=", FALSE, "names no server" },
  { "nats://a,,b", FALSE, "“host" },
  { "nats://a b", FALSE, "“host" },
  { "nats://a/b", FALSE, "“host" },
  { "nats://[::1", FALSE, "“host" },
  { "nats://[", FALSE, "“host" },
  { "nats://[]", FALSE, "“host" },
  { "nats://[::1::]", FALSE, "“host" },
  { "nats://[1.2.3.4]", FALSE, "“host" },
  { "nats://[::1]x:4222", FALSE, "“host" },
  { "nats://::1", FALSE, "“host" },
  { "nats://-", FALSE, "“host" },
  { "nats://.", FALSE, "“host" },
  { "nats://a:", FALSE, "port" },
  { "nats://a:0", FALSE, "port" },
  { "nats://a:65536", FALSE, "port" },
  { "nats://a:4222x", FALSE, "port" },
  { "nats://a,tls://b", FALSE, "mixes" },
  { "tls://a,nats://b", FALSE, "mixes" },
  { "nats:servers=a%2Ctls://b", FALSE, "mixes" },
  { "nats://a,http://b", FALSE, "scheme is not" },
  { "nats://me:" PASSWORD "@a,you:" PASSWORD "@b", FALSE, "more than one" },
  { "nats://me:" PASSWORD "@a,user=me", FALSE, "twice" },
  { "nats://:" PASSWORD "@a", FALSE, "user or the password" },
  { "nats://me:@a", FALSE, "user or the password" },
  { "nats://%zz:" PASSWORD "@a", FALSE, "user or the password" },
  { "nats://%00:" PASSWORD "@a", FALSE, "user or the password" },
  { "nats://%ff:" PASSWORD "@a", FALSE, "user or the password" },
  { "nats://a,password=" PASSWORD, FALSE, "without a user" },
  { "nats://a,user=", FALSE, "empty" },
  { "nats://a,user=me,password=%ff" PASSWORD, FALSE, "UTF-8" },
  { "nats://a,user=me,token=" PASSWORD, FALSE, "several ways" },
  { "nats://a,token=" PASSWORD ",creds=/a", FALSE, "several ways" },
  { "nats://a,creds=/a,nkey-seed=/b", FALSE, "several ways" },
  { "nats://a,creds=a", FALSE, "absolute" },
  { "tls://a,cert=/a", FALSE, "without its key" },
  { "tls://a,key=/a", FALSE, "without its key" },
  { "nats://a,ca=/a", FALSE, "not “tls://”" },
  { "nats://a,cert=/a,key=/b", FALSE, "not “tls://”" },
  { "nats://a,replicas=0", FALSE, "replicas" },
  { "nats://a,replicas=6", FALSE, "replicas" },
  { "nats://a,replicas=one", FALSE, "replicas" },
  { "nats://a,storage=disk", FALSE, "storage" },
  { "nats://a,max-bytes=1048575", FALSE, "max-bytes" },
  { "nats://a,max-bytes=1G", FALSE, "max-bytes" },
  { "nats://a,colour=red", FALSE, "does not know" },
  { "nats://a,replicas=1,replicas=2", FALSE, "twice" },
  { "nats://a," PIPE, FALSE, "can't listen at it" },
  { "nats://a", TRUE, "lacks" },
  { "nats://a,run=" RUN ",pipe=7", TRUE, "lacks" },
  { "nats://a,run=" RUN ",secret=" SECRET, TRUE, "lacks" },
  { "nats://a,pipe=7,secret=" SECRET, TRUE, "lacks" },
  { "nats://a,run=" RUN "x,pipe=7,secret=" SECRET, TRUE, "its run" },
  { "nats://a,run=ABCDEFGHIJKLMNOPQRST-v,pipe=7,secret=" SECRET, TRUE, "its run" },
  { "nats://a,run=" RUN ",pipe=0,secret=" SECRET, TRUE, "its pipe" },
  { "nats://a,run=" RUN ",pipe=7,secret=" PASSWORD, TRUE, "its secret" },
  { "nats://a," PIPE ",replicas=1", TRUE, "does not know" },
  { "unix:path=/a", FALSE, "begins with neither" },
};

static void
test_wrong (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_autoptr (GMsgNatsAddress) address = NULL;
      g_autoptr (GError) error = NULL;

      address = gmsg_nats_address_new (wrong[i].address, wrong[i].names_pipe, &error);
      if (address != NULL)
        {
          g_test_message ("not refused: %s", wrong[i].address);
          g_test_fail ();
          continue;
        }

      g_assert_error (error, GMSG_ERROR, GMSG_ERROR_INVALID_ADDRESS);
      if (strstr (error->message, wrong[i].word) == NULL)
        {
          g_test_message ("%s: %s", wrong[i].address, error->message);
          g_test_fail ();
        }
      g_assert_null (strstr (error->message, PASSWORD));
      g_assert_null (strstr (error->message, SECRET));
    }
}

static GMsgNatsAddress *
parse (const char *string,
       gboolean    names_pipe)
{
  g_autoptr (GError) error = NULL;
  GMsgNatsAddress *address = gmsg_nats_address_new (string, names_pipe, &error);

  g_assert_no_error (error);
  return address;
}

static void
assert_name (const char *string,
             const char *name)
{
  g_autoptr (GMsgNatsAddress) address = parse (string, FALSE);
  g_autofree char *found = gmsg_nats_address_dup_name (address);

  g_assert_cmpstr (found, ==, name);
}

/* The short and the full form of an address are equivalent. */
static void
test_servers (void)
{
  assert_name ("nats://localhost", "nats://localhost:4222");
  assert_name ("nats:servers=localhost", "nats://localhost:4222");
  assert_name ("tls://a:1,b,tls://c:65535", "tls://a:1,tls://b:4222,tls://c:65535");
  assert_name ("nats:servers=tls://a:1%2Cb", "tls://a:1,tls://b:4222");
  assert_name ("nats:servers=tls%3A%2F%2Fa", "tls://a:4222");
  assert_name ("nats://[::1]:4222,127.0.0.1", "nats://[::1]:4222,nats://127.0.0.1:4222");
  assert_name ("nats://[fe80::1]", "nats://[fe80::1]:4222");
  assert_name ("nats://me:" PASSWORD "@a,b", "nats://a:4222,nats://b:4222");
}

static void
test_login (void)
{
  g_autoptr (GMsgNatsAddress) url = parse ("nats://m%40e:p%2Cw%3D%25@a", FALSE);
  g_autoptr (GMsgNatsAddress) full = parse ("nats:servers=a,user=m%40e,password=p%2Cw%3D%25", FALSE);
  g_autoptr (GMsgNatsAddress) token = parse ("nats://t%3Ak@a", FALSE);
  g_autoptr (GMsgNatsAddress) files = NULL;
  g_autofree char *url_key = gmsg_nats_address_dup_key (url);
  g_autofree char *full_key = gmsg_nats_address_dup_key (full);
  g_autofree char *token_key = gmsg_nats_address_dup_key (token);

  g_assert_cmpstr (url->user, ==, "m@e");
  g_assert_cmpstr (url->password, ==, "p,w=%");
  g_assert_cmpstr (url_key, ==, full_key);
  g_assert_cmpstr (token->token, ==, "t:k");
  g_assert_null (token->user);
  g_assert_cmpstr (url_key, !=, token_key);

  files = parse ("tls://a,nkey-seed=/s%2C,ca=/ca,cert=/cert,key=/key", FALSE);
  g_assert_cmpstr (files->nkey_seed, ==, "/s,");
  g_assert_cmpstr (files->ca, ==, "/ca");
  g_assert_cmpstr (files->cert, ==, "/cert");
  g_assert_cmpstr (files->key, ==, "/key");
  g_assert_cmpstr (files->hosts[0], ==, "a");
}

static void
test_stream (void)
{
  g_autoptr (GMsgNatsAddress) plain = parse ("nats://a", FALSE);
  g_autoptr (GMsgNatsAddress) full = parse ("nats://a,replicas=3,storage=memory,max-bytes=2000000", FALSE);

  g_assert_cmpuint (plain->replicas, ==, 1);
  g_assert_false (plain->in_memory);
  g_assert_cmpuint (plain->max_bytes, ==, 1024 * 1024 * 1024);
  g_assert_cmpuint (full->replicas, ==, 3);
  g_assert_true (full->in_memory);
  g_assert_cmpuint (full->max_bytes, ==, 2000000);
}

/* The address for a worker contains no login of this process; the worker appends its own. */
static void
test_pipe (void)
{
  g_autoptr (GMsgNatsAddress) router = parse ("tls://me:" PASSWORD "@a:1,b,ca=/ca,storage=memory", FALSE);
  g_autofree char *string = gmsg_nats_address_dup_for_pipe (router, RUN, 7, SECRET);
  g_autofree char *with = g_strconcat (string, ",token=mine", NULL);
  g_autoptr (GMsgNatsAddress) worker = parse (with, TRUE);
  g_autofree char *name = gmsg_nats_address_dup_name (worker);

  g_assert_null (strstr (string, PASSWORD));
  g_assert_null (strstr (string, "me"));
  g_assert_null (strstr (string, "/ca"));
  g_assert_cmpstr (name, ==, "tls://a:1,tls://b:4222");
  g_assert_cmpstr (worker->run, ==, RUN);
  g_assert_cmpuint (worker->pipe_id, ==, 7);
  g_assert_cmpstr (worker->secret, ==, SECRET);
  g_assert_cmpstr (worker->token, ==, "mine");
  g_assert_true (worker->tls);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/address/p19/wrong", test_wrong);
  g_test_add_func ("/address/p19/servers", test_servers);
  g_test_add_func ("/address/p19/login", test_login);
  g_test_add_func ("/address/p19/stream", test_stream);
  g_test_add_func ("/address/p19/pipe", test_pipe);

  return g_test_run ();
}
