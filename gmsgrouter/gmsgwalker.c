/* gmsgwalker.c: decides whether serialised data is in normal form
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgwalker-private.h"

#include <string.h>

/* This gives the same verdict as g_variant_is_normal_form(), for any bytes, except for the limits
 * on types. GLib's function recurses for each level of a value, and takes a lock or a table for
 * each variant. So it can't be interrupted half-way, and can take minutes for data that a peer
 * sends in a second. Here
 *
 * - values of fixed size are checked with a mask of the bits that must be 0, or not at all;
 * - the type alone decides on a value without bytes, since a container may have thousands of such
 *   members for each byte of its own;
 * - only arrays and tuples whose children must be checked one by one take a frame, which they
 *   give up with the last child.
 *
 * So each round of the loop takes at least one byte, and the time and memory that it takes are
 * bounded by the number of bytes that have been checked. */

/* The cost of checking a child, in bytes that are checked in the same time. */
#define CHILD_COST 8
#define MEMBER_COST 2
/* The cost of laying out a type, for each of its characters. */
#define TYPE_COST 4
/* How many types are kept, measured by their cost for GLib: for the rest of the value, and for
 * the next value. */
#define MAX_COST (256 * 1024)
#define MAX_KEPT_COST (16 * 1024)

void
gmsg_walker_init (GMsgWalker *self,
                  gboolean    swapped)
{
  self->swapped = swapped;
  gmsg_types_init (&self->types);
  self->message = 0;
  self->bytes.kind = GMSG_WALK_NO_BYTES;
  self->n_frames = 0;
}

void
gmsg_walker_clear (GMsgWalker *self)
{
  gmsg_types_clear (&self->types);
}

/* Forgets types that no frame needs. */
static void
walker_trim_types (GMsgWalker *self)
{
  for (guint i = 0; i < self->n_frames; i++)
    self->frames[i].type->marked = TRUE;

  gmsg_types_trim (&self->types);
}

/* Counts a type once for each value; or again, if it was forgotten meanwhile. */
static GMsgWalk
walker_count_type (GMsgWalker *self,
                   GMsgType   *type)
{
  if (type->nodes[0].flags & GMSG_TYPE_HAS_HANDLE)
    return GMSG_WALK_HANDLE;

  if (type->message != self->message)
    {
      type->message = self->message;
      self->types_cost += type->cost;
    }

  return self->types_cost <= GMSG_MAX_TYPES_COST (self->type->length, self->size)
           ? GMSG_WALK_MORE
           : GMSG_WALK_TYPES_TOO_BIG;
}

static guint
get_offset_size (gsize size)
{
  if (size <= G_MAXUINT8)
    return 1;
  if (size <= G_MAXUINT16)
    return 2;
  if (size <= G_MAXUINT32)
    return 4;

  return 8;
}

/* Offsets are little-endian, whatever the byte order of the numbers. */
static gsize
read_offset (const guint8 *data,
             guint         offset_size)
{
  guint16 two;
  guint32 four;
  guint64 eight;

  switch (offset_size)
    {
    case 1:
      return data[0];

    case 2:
      memcpy (&two, data, sizeof two);
      return GUINT16_FROM_LE (two);

    case 4:
      memcpy (&four, data, sizeof four);
      return GUINT32_FROM_LE (four);

    default:
      memcpy (&eight, data, sizeof eight);
      return (gsize) GUINT64_FROM_LE (eight);
    }
}

/* Tells whether offsets of @offset_size bytes are the smallest possible ones, for @n_offsets of
 * them behind @size bytes. */
static gboolean
is_smallest_offset_size (gsize size,
                         gsize n_offsets,
                         guint offset_size)
{
  switch (offset_size)
    {
    case 1:
      return TRUE;

    case 2:
      return size + n_offsets > G_MAXUINT8;

    case 4:
      return size + 2 * n_offsets > G_MAXUINT16;

    default:
      return size + 4 * n_offsets > G_MAXUINT32;
    }
}

/* Moves @position up to @alignment, over zeros; FALSE if another byte is in between. */
static gboolean
skip_padding (const guint8 *data,
              gsize        *position,
              gsize         end,
              guint8        alignment)
{
  while (*position & alignment)
    {
      if (*position >= end || data[*position] != 0)
        return FALSE;
      (*position)++;
    }

  return TRUE;
}

/* Checks one value of fixed size, or many. */
static GMsgWalk
visit_fixed (GMsgWalker *self,
             GMsgType   *type,
             guint32     index,
             guint8     *data,
             gsize       size,
             guint       depth)
{
  const GMsgTypeNode *node = &type->nodes[index];
  gboolean checked = (node->flags & GMSG_TYPE_CHECKED) != 0;
  gboolean swap = self->swapped && node->alignment > 0;

  if (size % node->fixed_size != 0)
    return GMSG_WALK_NOT_NORMAL;

  if (size > 0 && depth + node->n_levels > GMSG_MAX_DEPTH)
    return GMSG_WALK_TOO_DEEP;

  if ((checked || swap) && size > 0)
    {
      self->bytes.kind = GMSG_WALK_VALUES;
      self->bytes.data = data;
      self->bytes.size = size;
      self->bytes.type = type;
      self->bytes.node = index;
      self->bytes.check = checked;
      self->bytes.swap = swap;
    }

  return GMSG_WALK_MORE;
}

static GMsgWalk
visit_text (GMsgWalker   *self,
            GMsgTextKind  kind,
            guint8       *data,
            gsize         size)
{
  if (size == 0 || data[size - 1] != '\0')
    return GMSG_WALK_NOT_NORMAL;

  gmsg_text_begin (&self->text, kind);
  self->bytes.kind = GMSG_WALK_TEXT;
  self->bytes.data = data;
  self->bytes.size = size - 1;
  return GMSG_WALK_MORE;
}

/* Checks an array whose elements have a variable size; it has bytes. */
static GMsgWalk
visit_array (GMsgWalker *self,
             GMsgType   *type,
             guint32     element,
             guint8     *data,
             gsize       size,
             guint       depth)
{
  guint offset_size = get_offset_size (size);
  gsize data_end = read_offset (data + size - offset_size, offset_size);
  GMsgWalkFrame *frame;

  if (data_end >= size || (size - data_end) % offset_size != 0 ||
      !is_smallest_offset_size (data_end, (size - data_end) / offset_size, offset_size))
    return GMSG_WALK_NOT_NORMAL;

  frame = &self->frames[self->n_frames++];
  frame->type = type;
  frame->node = element;
  frame->depth = (guint8) (depth + 1);
  frame->offset_size = (guint8) offset_size;
  frame->is_tuple = FALSE;
  frame->data = data;
  frame->position = 0;
  frame->data_end = data_end;
  frame->offset = data_end;
  frame->size = size;
  return GMSG_WALK_MORE;
}

/* Checks a tuple of variable size; it has bytes. */
static GMsgWalk
visit_tuple (GMsgWalker *self,
             GMsgType   *type,
             guint32     index,
             guint8     *data,
             gsize       size,
             guint       depth)
{
  GMsgWalkFrame *frame = &self->frames[self->n_frames++];

  frame->type = type;
  frame->node = index + 1;
  frame->depth = (guint8) (depth + 1);
  frame->offset_size = (guint8) get_offset_size (size);
  frame->is_tuple = TRUE;
  frame->data = data;
  frame->position = 0;
  frame->data_end = size;
  frame->size = size;
  return GMSG_WALK_MORE;
}

/* Finds the value in a variant, and its type. */
static GMsgWalk
open_variant (GMsgWalker    *self,
              GMsgType     **type,
              const guint8  *data,
              gsize         *size,
              guint          depth,
              gsize         *budget)
{
  gsize shortest = *size > GMSG_MAX_TYPE_LENGTH + 1 ? *size - GMSG_MAX_TYPE_LENGTH - 1 : 0;
  gsize start = *size;
  gsize length, n_kept = self->types.cost;
  GMsgWalk result;

  while (start > shortest && data[start - 1] != '\0')
    start--;

  if (start == 0 || start == *size)
    return GMSG_WALK_NOT_NORMAL;
  if (data[start - 1] != '\0')
    return GMSG_WALK_TYPE_TOO_LONG;

  if (self->types.cost > MAX_COST)
    walker_trim_types (self);

  length = *size - start;
  *size = start - 1;
  *type = gmsg_types_get (&self->types, (const char *) data + start, length);
  if (*type == NULL)
    return GMSG_WALK_NOT_NORMAL;

  *budget -= MIN (*budget, self->types.cost != n_kept ? length * TYPE_COST : length);

  result = walker_count_type (self, *type);
  if (result != GMSG_WALK_MORE)
    return result;

  if ((*type)->nodes[0].fixed_size > 0 && (*type)->nodes[0].fixed_size != *size)
    return GMSG_WALK_NOT_NORMAL;

  /* GLib's check looks at what the type may hold, not at what the value holds. */
  return depth + (*type)->nodes[0].depth < GMSG_MAX_DEPTH ? GMSG_WALK_MORE : GMSG_WALK_TOO_DEEP;
}

/* Checks a value until only a frame, or bytes, or nothing is left. */
static GMsgWalk
visit (GMsgWalker *self,
       GMsgType   *type,
       guint32     index,
       guint8     *data,
       gsize       size,
       guint       depth,
       gsize      *budget)
{
  GMsgWalk result;

  /* Each round takes at least one byte away. */
  while (TRUE)
    {
      const GMsgTypeNode *node = &type->nodes[index];

      if (node->fixed_size > 0)
        return size == node->fixed_size ? visit_fixed (self, type, index, data, size, depth)
                                        : GMSG_WALK_NOT_NORMAL;

      if (size == 0)
        {
          if ((node->flags & GMSG_TYPE_MAY_BE_EMPTY) == 0)
            return GMSG_WALK_NOT_NORMAL;
          return depth + node->n_levels <= GMSG_MAX_DEPTH ? GMSG_WALK_MORE : GMSG_WALK_TOO_DEEP;
        }

      depth += node->n_skipped;
      index = node->inner;
      node = &type->nodes[index];
      if (depth >= GMSG_MAX_DEPTH)
        return GMSG_WALK_TOO_DEEP;

      switch (node->kind)
        {
        case 's':
          return visit_text (self, GMSG_TEXT_STRING, data, size);

        case 'o':
          return visit_text (self, GMSG_TEXT_OBJECT_PATH, data, size);

        case 'g':
          return visit_text (self, GMSG_TEXT_SIGNATURE, data, size);

        case '(':
        case '{':
          return visit_tuple (self, type, index, data, size, depth);

        case 'a':
          index++;
          if (type->nodes[index].fixed_size > 0)
            return visit_fixed (self, type, index, data, size, depth + 1);
          return visit_array (self, type, index, data, size, depth);

        case 'm':
          index++;
          if (type->nodes[index].fixed_size == 0 && data[--size] != '\0')
            return GMSG_WALK_NOT_NORMAL;
          break;

        case 'v':
          result = open_variant (self, &type, data, &size, depth, budget);
          if (result != GMSG_WALK_MORE)
            return result;
          index = 0;
          break;

        default:
          g_assert_not_reached ();
        }

      depth++;
      *budget -= MIN (*budget, CHILD_COST);
    }
}

/* Takes the next element, and gives up the frame with the last one. */
static GMsgWalk
walk_array (GMsgWalker    *self,
            GMsgWalkFrame *frame,
            gsize         *budget)
{
  guint32 node = frame->node;
  gsize start = frame->position;
  gsize end = read_offset (frame->data + frame->offset, frame->offset_size);

  if (end < start || end > frame->data_end ||
      !skip_padding (frame->data, &start, end, frame->type->nodes[node].alignment))
    return GMSG_WALK_NOT_NORMAL;

  frame->position = end;
  frame->offset += frame->offset_size;
  if (frame->offset == frame->size)
    self->n_frames--;

  return visit (self, frame->type, node, frame->data + start, end - start, frame->depth, budget);
}

/* Takes the next member, after those in which nothing can be wrong; gives up the frame with the
 * last member. */
static GMsgWalk
walk_tuple (GMsgWalker    *self,
            GMsgWalkFrame *frame,
            gsize         *budget)
{
  const GMsgTypeNode *nodes = frame->type->nodes;
  const GMsgTypeNode *node;
  gsize start, end;
  guint32 index;

  do
    {
      index = frame->node;
      node = &nodes[index];
      start = frame->position;
      if (!skip_padding (frame->data, &start, frame->size, node->alignment))
        return GMSG_WALK_NOT_NORMAL;

      if (node->fixed_size > 0)
        {
          end = start + node->fixed_size;
        }
      else if (node->flags & GMSG_TYPE_LAST)
        {
          end = frame->data_end;
        }
      else
        {
          /* Offsets are stored from the end of the tuple backwards. */
          if (frame->data_end < frame->offset_size)
            return GMSG_WALK_NOT_NORMAL;
          frame->data_end -= frame->offset_size;
          end = read_offset (frame->data + frame->data_end, frame->offset_size);
        }

      if (end < start || end > frame->data_end)
        return GMSG_WALK_NOT_NORMAL;

      frame->position = end;
      frame->node = node->next;
      *budget -= MIN (*budget, MEMBER_COST);
    }
  while (node->fixed_size > 0 && node->n_levels == 1 && !self->swapped &&
         (node->flags & (GMSG_TYPE_CHECKED | GMSG_TYPE_LAST)) == 0);

  if (node->flags & GMSG_TYPE_LAST)
    {
      if (end != frame->data_end ||
          !is_smallest_offset_size (end, (frame->size - end) / frame->offset_size,
                                    frame->offset_size))
        return GMSG_WALK_NOT_NORMAL;
      self->n_frames--;
    }

  return visit (self, frame->type, index, frame->data + start, end - start, frame->depth, budget);
}

/* Tells whether any of the bits of @mask is set. */
static gboolean
has_bits (const guint8 *data,
          const guint8 *mask,
          gsize         size)
{
  guint64 found = 0;
  gsize i;

  for (i = 0; i + sizeof (guint64) <= size; i += sizeof (guint64))
    {
      guint64 word, mask_word;

      memcpy (&word, data + i, sizeof word);
      memcpy (&mask_word, mask + i, sizeof mask_word);
      found |= word & mask_word;
    }

  for (; i < size; i++)
    found |= data[i] & mask[i];

  return found != 0;
}

static void
swap_number (guint8 *data,
             guint8  width)
{
  for (guint8 i = 0; i < width / 2; i++)
    {
      guint8 byte = data[i];

      data[i] = data[width - 1 - i];
      data[width - 1 - i] = byte;
    }
}

static void
swap_values (guint8       *data,
             gsize         size,
             const guint8 *widths,
             gsize         value_size)
{
  for (; size > 0; data += value_size, size -= value_size)
    for (gsize i = 0; i < value_size; i += MAX (widths[i], 1))
      swap_number (data + i, widths[i]);
}

/* Returns how many bytes it took; 0 if they are wrong. */
static gsize
take_values (GMsgWalkBytes *bytes,
             gsize          budget)
{
  const GMsgTypeLayout *layout = gmsg_type_get_layout (bytes->type, bytes->node);
  gsize size = bytes->size;

  if (size > budget)
    size = MAX (budget - budget % layout->period, layout->period);
  size = MIN (size, bytes->size);

  if (bytes->check)
    for (gsize i = 0; i < size; i += layout->period)
      if (has_bits (bytes->data + i, layout->mask, MIN (layout->period, size - i)))
        return 0;

  if (bytes->swap)
    swap_values (bytes->data, size, layout->widths,
                 bytes->type->nodes[bytes->node].fixed_size);

  return size;
}

/* Takes as many bytes as @budget allows, and those that belong to them. */
static GMsgWalk
take_bytes (GMsgWalker *self,
            gsize      *budget)
{
  GMsgWalkBytes *bytes = &self->bytes;
  gsize size;

  if (bytes->kind == GMSG_WALK_TEXT)
    {
      size = MIN (bytes->size, *budget);
      if (!gmsg_text_feed (&self->text, bytes->data, size) ||
          (size == bytes->size && !gmsg_text_end (&self->text)))
        return GMSG_WALK_NOT_NORMAL;
    }
  else
    {
      size = take_values (bytes, *budget);
      if (size == 0)
        return GMSG_WALK_NOT_NORMAL;
    }

  *budget -= MIN (*budget, size);
  bytes->data += size;
  bytes->size -= size;
  if (bytes->size == 0)
    bytes->kind = GMSG_WALK_NO_BYTES;
  return GMSG_WALK_MORE;
}

/* Begins with a value; an earlier one may be incomplete. @data must stay until the end. It is
 * written to only if its byte order is not this machine's. */
GMsgWalk
gmsg_walker_begin (GMsgWalker *self,
                   const char *type_string,
                   gsize       type_length,
                   guint8     *data,
                   gsize       size)
{
  self->n_frames = 0;
  if (self->types.cost > MAX_KEPT_COST)
    walker_trim_types (self);

  self->message++;
  self->types_cost = 0;
  self->bytes.kind = GMSG_WALK_NO_BYTES;
  self->data = data;
  self->size = size;
  self->begun = FALSE;
  self->type = gmsg_types_get (&self->types, type_string, type_length);

  return self->type != NULL ? walker_count_type (self, self->type) : GMSG_WALK_NO_TYPE;
}

/* Goes on until something is wrong, or until it has spent as much time as @budget bytes of text
 * take; subtracts that from @budget. Any result except GMSG_WALK_MORE ends the value. */
GMsgWalk
gmsg_walker_step (GMsgWalker *self,
                  gsize      *budget)
{
  GMsgWalk result = GMSG_WALK_MORE;

  if (!self->begun)
    {
      self->begun = TRUE;
      result = visit (self, self->type, 0, self->data, self->size, 0, budget);
    }

  while (result == GMSG_WALK_MORE)
    {
      if (self->bytes.kind != GMSG_WALK_NO_BYTES)
        {
          result = take_bytes (self, budget);
        }
      else if (self->n_frames == 0)
        {
          return GMSG_WALK_NORMAL;
        }
      else
        {
          GMsgWalkFrame *frame = &self->frames[self->n_frames - 1];

          *budget -= MIN (*budget, CHILD_COST);
          result = frame->is_tuple ? walk_tuple (self, frame, budget)
                                   : walk_array (self, frame, budget);
        }

      if (*budget == 0)
        break;
    }

  return result;
}
