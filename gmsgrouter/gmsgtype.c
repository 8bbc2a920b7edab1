/* gmsgtype.c: types of messages, laid out so that their values can be checked
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgtype-private.h"

#include <string.h>

/* GLib keeps this many bytes while a value of a type exists, on 64 bits: a record for each
 * container in the type, with its entry in a table; and a record for each member of a tuple. */
#define CONTAINER_COST 88
#define MEMBER_COST 32

static void
layout_clear (gpointer data)
{
  GMsgTypeLayout *self = data;

  g_free (self->mask);
  g_free (self->widths);
}

static void
type_free (gpointer data)
{
  GMsgType *self = data;

  g_clear_pointer (&self->layouts, g_array_unref);
  g_clear_pointer (&self->keeper, g_variant_unref);
  g_free (self);
}

static guint
type_hash (gconstpointer data)
{
  const GMsgType *self = data;

  return self->hash;
}

static gboolean
type_equal (gconstpointer a,
            gconstpointer b)
{
  const GMsgType *type_a = a, *type_b = b;

  return type_a->length == type_b->length &&
         memcmp (type_a->string, type_b->string, type_a->length) == 0;
}

static guint32
align (guint32 offset,
       guint8  alignment)
{
  return offset + (-offset & alignment);
}

/* The size of a number; 0 for a type of variable size. */
static guint32
get_basic_size (char kind)
{
  switch (kind)
    {
    case 'b':
    case 'y':
      return 1;

    case 'n':
    case 'q':
      return 2;

    case 'i':
    case 'u':
    case 'h':
      return 4;

    case 'x':
    case 't':
    case 'd':
      return 8;

    default:
      return 0;
    }
}

/* Returns the size of a number type for which any bytes are a valid value, by the type's letter;
 * 0 for every other type. */
guint
gmsg_type_get_number_size (char letter)
{
  return letter == 'b' || letter == 'h' ? 0 : get_basic_size (letter);
}

static void
lay_out_basic (GMsgTypeNode *node)
{
  node->fixed_size = get_basic_size ((char) node->kind);
  node->depth = 1;
  node->n_levels = 1;

  if (node->fixed_size > 0)
    node->alignment = (guint8) (node->fixed_size - 1);
  else if (node->kind == 'v')
    node->alignment = 7;

  if (node->kind == 'b')
    node->flags |= GMSG_TYPE_CHECKED;
  else if (node->kind == 'h')
    node->flags |= GMSG_TYPE_HAS_HANDLE;
}

/* An array or a maybe: it has no bytes when it is empty. */
static void
lay_out_prefix (GMsgTypeNode       *node,
                const GMsgTypeNode *element)
{
  node->next = element->next;
  node->alignment = element->alignment;
  node->flags = GMSG_TYPE_MAY_BE_EMPTY | (element->flags & GMSG_TYPE_HAS_HANDLE);
  node->depth = element->depth + 1;
  node->n_levels = 1;
}

/* Returns the number of members. */
static guint32
lay_out_tuple (GMsgTypeNode *nodes,
               guint32       index)
{
  GMsgTypeNode *node = &nodes[index];
  gboolean fixed = TRUE, may_be_empty = TRUE;
  guint32 member = index + 1, last = index, n_members = 0;
  guint32 size = 0; /* of the members, as long as all have a fixed size */

  for (; nodes[member].kind != ')' && nodes[member].kind != '}'; member = nodes[member].next)
    {
      const GMsgTypeNode *child = &nodes[member];
      guint32 offset = align (size, child->alignment);

      if (offset != size)
        node->flags |= GMSG_TYPE_CHECKED;
      size = offset + child->fixed_size;
      fixed = fixed && child->fixed_size > 0;
      may_be_empty = may_be_empty && (child->flags & GMSG_TYPE_MAY_BE_EMPTY);

      node->alignment |= child->alignment;
      node->flags |= child->flags & (GMSG_TYPE_CHECKED | GMSG_TYPE_HAS_HANDLE);
      node->n_levels = MAX (node->n_levels, child->n_levels + 1);
      /* GLib leaves out the key of a dictionary entry. */
      if (node->kind == '(' || n_members > 0)
        node->depth = MAX (node->depth, child->depth + 1);
      last = member;
      n_members++;
    }

  node->next = member + 1;
  nodes[member].alignment = node->alignment;

  if (n_members == 0)
    {
      node->fixed_size = 1;
      node->flags = GMSG_TYPE_CHECKED;
      node->n_levels = 1;
      return 0;
    }

  nodes[last].flags |= GMSG_TYPE_LAST;

  if (fixed)
    {
      node->fixed_size = align (size, node->alignment);
      if (node->fixed_size != size)
        node->flags |= GMSG_TYPE_CHECKED;
      return n_members;
    }

  node->flags &= ~GMSG_TYPE_CHECKED;
  if (may_be_empty)
    node->flags |= GMSG_TYPE_MAY_BE_EMPTY;

  /* A chain of such tuples would be walked for every byte. */
  if (n_members == 1)
    {
      node->inner = nodes[index + 1].inner;
      node->n_skipped = nodes[index + 1].n_skipped + 1;
    }

  return n_members;
}

/* Each container finds its members laid out, since the string is read from its end. */
static void
type_lay_out (GMsgType     *self,
              GMsgTypeNode *nodes)
{
  for (guint32 i = self->length; i-- > 0;)
    {
      GMsgTypeNode *node = &nodes[i];
      guint32 n_members = 0;

      *node = (GMsgTypeNode) { .next = i + 1, .inner = i, .kind = (guint8) self->string[i] };

      switch (node->kind)
        {
        case ')':
        case '}':
          continue;

        case '(':
        case '{':
          n_members = lay_out_tuple (nodes, i);
          break;

        case 'a':
        case 'm':
          lay_out_prefix (node, node + 1);
          break;

        default:
          lay_out_basic (node);
          continue;
        }

      self->cost += CONTAINER_COST + MEMBER_COST * n_members +
                    gmsg_allocation_cost (node->next - i + 1);
    }
}

static gboolean
is_valid_string (const char *string,
                 gsize       length)
{
  GMsgTypeScanner scanner;

  gmsg_type_scanner_init (&scanner);
  return gmsg_type_scanner_scan (&scanner, string, length) && gmsg_type_scanner_end (&scanner);
}

static GMsgType *
type_new (const GMsgType *key)
{
  gsize nodes_size = key->length * sizeof (GMsgTypeNode);
  GMsgType *self = g_malloc (sizeof *self + nodes_size + key->length + 1);
  GMsgTypeNode *nodes = (GMsgTypeNode *) (gpointer) (self + 1);
  char *string = (char *) nodes + nodes_size;

  memcpy (string, key->string, key->length);
  string[key->length] = '\0';
  *self = *key;
  self->string = string;
  self->nodes = nodes;
  type_lay_out (self, nodes);

  return self;
}

void
gmsg_types_init (GMsgTypes *self)
{
  *self = (GMsgTypes) { .last = NULL };
}

void
gmsg_types_clear (GMsgTypes *self)
{
  g_clear_pointer (&self->table, g_hash_table_unref);
  gmsg_types_init (self);
}

static gboolean
trim_cb (gpointer key,
         gpointer value,
         gpointer user_data)
{
  GMsgType *type = key;
  GMsgTypes *self = user_data;

  /* Types of one letter are few, and cost GLib nothing. */
  if (type->marked || type->length == 1)
    {
      type->marked = FALSE;
      self->cost += type->cost;
      return FALSE;
    }

  return TRUE;
}

/* Forgets the types that are not marked. */
void
gmsg_types_trim (GMsgTypes *self)
{
  self->last = NULL;
  self->cost = 0;
  if (self->table != NULL)
    g_hash_table_foreach_remove (self->table, trim_cb, self);
}

/* Different in each process, so that no peer can choose types that collide. */
static guint64
get_multiplier (void)
{
  static gsize multiplier = 0;

  if (g_once_init_enter (&multiplier))
    g_once_init_leave (&multiplier, ((gsize) g_random_int () << 1) | 1);

  return multiplier;
}

static guint32
hash_string (const char *string,
             gsize       length)
{
  guint64 multiplier = get_multiplier ();
  guint64 hash = length;

  for (gsize i = 0; i < length; i++)
    hash = (hash ^ (guint8) string[i]) * multiplier;

  return (guint32) (hash ^ hash >> 32);
}

/* Returns the type that @string names, owned by @self; NULL if it names no complete and definite
 * type that GLib would accept. */
GMsgType *
gmsg_types_get (GMsgTypes  *self,
                const char *string,
                gsize       length)
{
  GMsgType key = { .string = string, .length = (guint32) length };
  GMsgType *type;

  if (length == 1 && string[0] >= 'a' && string[0] <= 'z' && self->singles[string[0] - 'a'] != NULL)
    return self->singles[string[0] - 'a'];

  if (self->last != NULL && type_equal (self->last, &key))
    return self->last;

  if (length == 0 || length > GMSG_MAX_TYPE_LENGTH)
    return NULL;

  if (self->table == NULL)
    self->table = g_hash_table_new_full (type_hash, type_equal, type_free, NULL);

  key.hash = hash_string (string, length);
  type = g_hash_table_lookup (self->table, &key);
  if (type == NULL)
    {
      if (!is_valid_string (string, length))
        return NULL;

      type = type_new (&key);
      /* Another type followed the first one. */
      if (type->nodes[0].next != length)
        {
          type_free (type);
          return NULL;
        }

      g_hash_table_add (self->table, type);
      self->cost += type->cost;
    }

  if (length == 1)
    self->singles[string[0] - 'a'] = type;
  else
    self->last = type;
  return type;
}

/* What a value of the fixed-size type at @index must contain. Padding, and the byte of an empty
 * tuple, are 0. */
static void
layout_fill (GMsgTypeLayout     *self,
             const GMsgTypeNode *nodes,
             guint32             index)
{
  gsize offset = 0;

  memset (self->mask, 0xff, nodes[index].fixed_size);

  for (guint32 i = index; i < nodes[index].next; i++)
    {
      offset += -offset & nodes[i].alignment;

      if (nodes[i].kind == '(' && nodes[i + 1].kind == ')')
        {
          offset++;
          continue;
        }

      if (strchr ("(){}", nodes[i].kind) != NULL)
        continue;

      memset (self->mask + offset, nodes[i].kind == 'b' ? 0xfe : 0, nodes[i].fixed_size);
      self->widths[offset] = (guint8) nodes[i].fixed_size;
      offset += nodes[i].fixed_size;
    }
}

/* For the type at @index, which has a fixed size. */
const GMsgTypeLayout *
gmsg_type_get_layout (GMsgType *self,
                      guint32   index)
{
  GMsgTypeNode *node = &self->nodes[index];
  gsize size = node->fixed_size;
  GMsgTypeLayout layout;

  if (node->layout > 0)
    return &g_array_index (self->layouts, GMsgTypeLayout, node->layout - 1);

  /* This makes it possible to check eight bytes at a time, and as often. */
  layout.period = size < 8 ? 64 * size : size < 64 ? 8 * size : size;
  layout.mask = g_malloc (layout.period);
  layout.widths = g_malloc0 (size);
  layout_fill (&layout, self->nodes, index);
  for (gsize i = size; i < layout.period; i++)
    layout.mask[i] = layout.mask[i - size];

  if (self->layouts == NULL)
    {
      self->layouts = g_array_new (FALSE, FALSE, sizeof (GMsgTypeLayout));
      g_array_set_clear_func (self->layouts, layout_clear);
    }
  g_array_append_val (self->layouts, layout);
  node->layout = self->layouts->len;

  return &g_array_index (self->layouts, GMsgTypeLayout, node->layout - 1);
}
