/* gmsgmessage.c: messages that cross the border of a process
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgmessage-private.h"

#include "gmsgerror.h"
#include "gmsgwalker-private.h"

#include <string.h>

G_STATIC_ASSERT (GMSG_MESSAGE_MAX_TYPE_LENGTH == GMSG_MAX_TYPE_LENGTH);

/* In bytes, measured with GLib 2.74 and 2.84 on 64 bits: a GVariant and its GBytes, apart from
 * the places. */
#define MESSAGE_COST (80 + 48 + GMSG_MESSAGE_PLACES_COST)
/* The size to which malloc() rounds memory that it gets straight from the kernel. */
#define MAPPED_SIZE (128 * 1024)
#define PAGE_SIZE 4096
/* GLib's cost of meeting a type and forgetting it, for each byte that it keeps meanwhile, in
 * bytes that could be checked in the same time. */
#define MEETING_COST 2

struct _GMsgMessageCheck
{
  GMsgWalker walker;
  guint8    *data;     /* (owned) (nullable): of the message being checked */
  gsize      size;
  gsize      debt;     /* to be subtracted first from the budget of steps */
};

GMsgMessageCheck *
gmsg_message_check_new (void)
{
  GMsgMessageCheck *self = g_new (GMsgMessageCheck, 1);

  gmsg_walker_init (&self->walker, FALSE);
  self->data = NULL;
  return self;
}

void
gmsg_message_check_free (GMsgMessageCheck *self)
{
  gmsg_walker_clear (&self->walker);
  g_free (self->data);
  g_free (self);
}

/* With @swapped, the peer's numbers have the other byte order. */
void
gmsg_message_check_set_swapped (GMsgMessageCheck *self,
                                gboolean          swapped)
{
  self->walker.swapped = swapped;
}

/* Returns why a value can't cross to another process, and what its sender can do. */
static const char *
describe (GMsgWalk result)
{
  switch (result)
    {
    case GMSG_WALK_TOO_DEEP:
      return "it nests deeper than 128 levels; flatten it";

    case GMSG_WALK_HANDLE:
      return "it holds a file handle (“h”), which means nothing in another process; send the path";

    case GMSG_WALK_TYPE_TOO_LONG:
      return "a variant in it has a type string of more than 16384 bytes; send arrays instead of "
             "long tuples";

    case GMSG_WALK_TYPES_TOO_BIG:
      return "the types in it would take more memory than its data; use fewer or simpler ones";

    case GMSG_WALK_NO_TYPE:
      return "this is not one definite type";

    case GMSG_WALK_NOT_NORMAL:
      return "its data is not in normal form, such as text that is not UTF-8; send the result of "
             "g_variant_get_normal_form(), or the bytes as “ay”";

    case GMSG_WALK_MORE:
    case GMSG_WALK_NORMAL:
    default:
      g_assert_not_reached ();
    }
}

static void
set_protocol_error (GMsgMessageCheck  *self,
                    GMsgWalk           result,
                    const char        *type_string,
                    gsize              type_length,
                    GError           **error)
{
  g_autofree char *copy = g_strndup (type_string, MIN (type_length, 64));
  g_autofree char *escaped = g_strescape (copy, NULL);

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
               "The peer sent a message of type “%s”, but %s", escaped, describe (result));
}

/* Begins with a message from an untrusted peer. Takes @data, which comes from g_malloc() and so
 * is aligned for every type: GLib would copy unaligned data. The check of the last message must
 * be complete. */
gboolean
gmsg_message_check_begin (GMsgMessageCheck  *self,
                          const char        *type_string,
                          gsize              type_length,
                          guint8            *data,
                          gsize              size,
                          GError           **error)
{
  GMsgWalk result;

  g_assert (self->data == NULL);
  self->data = data;
  self->size = size;

  result = gmsg_walker_begin (&self->walker, type_string, type_length, data, size);
  if (result == GMSG_WALK_MORE)
    {
      const GMsgType *type = self->walker.type;

      self->debt = type->keeper == NULL ? MEETING_COST * type->cost : 0;
      return TRUE;
    }

  set_protocol_error (self, result, type_string, type_length, error);
  return FALSE;
}

/* Goes on until the message is known to be good or bad, or @budget is used up. The budget is
 * measured in bytes that are checked in the same time. Small elements count for more, and so does
 * a new type, because GLib will have to process it. */
GMsgMessageState
gmsg_message_check_step (GMsgMessageCheck  *self,
                         gsize             *budget,
                         GError           **error)
{
  const GMsgType *type = self->walker.type;
  gsize paid = MIN (*budget, self->debt);
  GMsgWalk result;

  *budget -= paid;
  self->debt -= paid;
  if (*budget == 0)
    return GMSG_MESSAGE_MORE;

  result = gmsg_walker_step (&self->walker, budget);
  if (result == GMSG_WALK_MORE)
    return GMSG_MESSAGE_MORE;
  if (result == GMSG_WALK_NORMAL)
    return GMSG_MESSAGE_GOOD;

  set_protocol_error (self, result, type->string, type->length, error);
  return GMSG_MESSAGE_BAD;
}

/* The memory that a message takes while it waits. A type is counted with the first message that
 * has it: while others wait, GLib keeps it once. */
static guint64
get_cost (const GMsgType *type,
          gsize           size)
{
  guint64 cost = MESSAGE_COST + (type->keeper == NULL ? type->cost : 0);

  if (size >= MAPPED_SIZE)
    return cost + ((size + PAGE_SIZE - 1) & ~(guint64) (PAGE_SIZE - 1));

  return cost + gmsg_allocation_cost (size);
}

/* Returns the message, which was found to be good, and the bytes of memory that it takes. */
GVariant *
gmsg_message_check_end (GMsgMessageCheck *self,
                        guint64          *cost)
{
  GMsgType *type = self->walker.type;
  const GVariantType *variant_type = G_VARIANT_TYPE (type->string);
  g_autoptr (GBytes) bytes = g_bytes_new_take (g_steal_pointer (&self->data), self->size);

  *cost = get_cost (type, self->size);

  /* Messages of a repeated type are made in a fraction of the time. */
  if (type->keeper == NULL)
    type->keeper = g_variant_ref_sink (g_variant_new_from_data (variant_type, NULL, 0, TRUE,
                                                                NULL, NULL));

  /* As trusted data it is not checked again, and its children are read without the checks that
   * GLib makes for each. */
  return g_variant_ref_sink (g_variant_new_from_bytes (variant_type, bytes, TRUE));
}

/* How the parts of a value are nested that GLib has built and not yet serialised. */
typedef enum
{
  NESTING_GOOD,
  NESTING_TOO_DEEP,
  NESTING_TOO_LARGE,
} Nesting;

/* A variant takes at least two bytes: the end of its value, and its type. */
#define MIN_VARIANT_SIZE 2

/* GLib aborts when it is asked for a child of serialised data whose type, as GLib counts, is
 * deeper than this. */
static gboolean
is_type_too_deep (const char *type_string)
{
  gsize length = strlen (type_string);
  const GMsgType *type;
  GMsgTypes types;
  gboolean too_deep;

  if (length <= GMSG_MAX_DEPTH)
    return FALSE;

  gmsg_types_init (&types);
  type = gmsg_types_get (&types, type_string, length);
  too_deep = type == NULL || type->nodes[0].depth > GMSG_MAX_DEPTH;
  gmsg_types_clear (&types);
  return too_deep;
}

/* GLib has an object for a child, and returns it again, only while the container is not
 * serialised. */
static gboolean
is_serialised (GVariant *container)
{
  g_autoptr (GVariant) child = g_variant_get_child_value (container, 0);
  g_autoptr (GVariant) again = g_variant_get_child_value (container, 0);

  return child != again;
}

/* GLib recurses for each level of a value that it serialises or measures. Variants can nest
 * without end, so this looks first. Serialised data has a size, and is left to the walker. A
 * value may be part of others any number of times, so variants are subtracted from @size_left,
 * which is the size that the message may have. */
static Nesting
get_nesting (GVariant *value,
             guint     depth,
             guint64  *size_left)
{
  const char *type_string = g_variant_get_type_string (value);
  Nesting result = NESTING_GOOD;
  gsize n_children;

  if (strchr (type_string, 'v') == NULL)
    return NESTING_GOOD;
  if (depth == GMSG_MAX_DEPTH || is_type_too_deep (type_string))
    return NESTING_TOO_DEEP;

  n_children = g_variant_n_children (value);
  if (n_children == 0 || is_serialised (value))
    return NESTING_GOOD;

  if (type_string[0] == 'v')
    {
      if (*size_left < MIN_VARIANT_SIZE)
        return NESTING_TOO_LARGE;
      *size_left -= MIN_VARIANT_SIZE;
    }

  for (gsize i = 0; i < n_children && result == NESTING_GOOD; i++)
    {
      g_autoptr (GVariant) child = g_variant_get_child_value (value, i);

      result = get_nesting (child, depth + 1, size_left);
    }

  return result;
}

static gboolean
check_outgoing_type (GVariant  *message,
                     GError   **error)
{
  gsize length = strlen (g_variant_get_type_string (message));

  if (length <= GMSG_MESSAGE_MAX_TYPE_LENGTH)
    return TRUE;

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_TOO_LARGE,
               "A message to another process may have a type string of at most %d bytes, but this "
               "one has %zu; send arrays instead of long tuples",
               GMSG_MESSAGE_MAX_TYPE_LENGTH, length);
  return FALSE;
}

/* @size is 0 if it is unknown. */
static void
set_too_large (guint64   size,
               guint64   max_size,
               GError  **error)
{
  g_autofree char *found = size > 0 ? g_strdup_printf ("this one has %" G_GUINT64_FORMAT, size)
                                    : g_strdup ("the variants in this one alone take more");

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_TOO_LARGE,
               "The router accepts messages of at most %" G_GUINT64_FORMAT " bytes, but %s; split "
               "it, or raise the router's max-message-size",
               max_size, found);
}

/* Numbers, and arrays of them, are the most common messages, and are in normal form whatever
 * their bytes are. To lay out their type would take longer than all the rest of a send(). */
static gboolean
is_numbers (const char *type_string,
            gsize       size)
{
  guint n_arrays = type_string[0] == 'a' ? 1 : 0;
  guint number_size = gmsg_type_get_number_size (type_string[n_arrays]);

  return number_size > 0 && type_string[n_arrays + 1] == '\0' && size % number_size == 0;
}

static GMsgWalk
walk_outgoing (GVariant *message)
{
  const char *type_string = g_variant_get_type_string (message);
  gsize size = g_variant_get_size (message);
  /* The check writes nothing to the data, since the byte order is this machine's. */
  guint8 *data = (guint8 *) g_variant_get_data (message);
  gsize budget = G_MAXSIZE;
  GMsgWalker walker;
  GMsgWalk result;

  /* GLib has no data for a value of fixed size that was made from too few bytes. */
  if (data == NULL && size > 0)
    return GMSG_WALK_NOT_NORMAL;

  if (is_numbers (type_string, size))
    return GMSG_WALK_NORMAL;

  gmsg_walker_init (&walker, FALSE);
  result = gmsg_walker_begin (&walker, type_string, strlen (type_string), data, size);
  if (result == GMSG_WALK_MORE)
    result = gmsg_walker_step (&walker, &budget);
  gmsg_walker_clear (&walker);

  return result;
}

/* Refuses in the sender's process everything that the router would refuse, with the router's own
 * check. GLib does not say whether it has built a value itself, and has not looked at bytes that
 * it was given as trusted. Most values are checked in less time than it takes to write them. */
gboolean
gmsg_message_check_outgoing (GVariant  *message,
                             guint64    max_size,
                             GError   **error)
{
  guint64 size_left = max_size;
  GMsgWalk result = GMSG_WALK_TOO_DEEP;
  gsize size;

  if (!check_outgoing_type (message, error))
    return FALSE;

  switch (get_nesting (message, 0, &size_left))
    {
    case NESTING_GOOD:
      size = g_variant_get_size (message);
      if (size > max_size)
        {
          set_too_large (size, max_size, error);
          return FALSE;
        }

      result = walk_outgoing (message);
      if (result == GMSG_WALK_NORMAL)
        return TRUE;
      break;

    case NESTING_TOO_LARGE:
      set_too_large (0, max_size, error);
      return FALSE;

    case NESTING_TOO_DEEP:
    default:
      break;
    }

  g_set_error (error, GMSG_ERROR,
               result == GMSG_WALK_TYPE_TOO_LONG || result == GMSG_WALK_TYPES_TOO_BIG
                 ? GMSG_ERROR_TOO_LARGE
                 : GMSG_ERROR_INVALID_ARGUMENT,
               "A message of type “%.64s” can't be sent to another process: %s",
               g_variant_get_type_string (message), describe (result));
  return FALSE;
}

/* Tells whether an error from another process may have that domain here. */
gboolean
gmsg_message_is_domain (const char *domain,
                        gsize       length)
{
  if (length == 0 || length > GMSG_MESSAGE_MAX_DOMAIN_LENGTH)
    return FALSE;

  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isalnum (domain[i]) && domain[i] != '-' && domain[i] != '_' && domain[i] != '.')
      return FALSE;

  return TRUE;
}

/* Tells whether an error from another process may have that text here. */
gboolean
gmsg_message_is_text (const char *text,
                      gsize       length)
{
  return length <= GMSG_MESSAGE_MAX_TEXT_LENGTH && g_utf8_validate_len (text, length, NULL);
}
