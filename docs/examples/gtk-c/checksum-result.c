/* checksum-result.c: what became of one file
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "checksum-result.h"

struct _ChecksumResult
{
  GObject  parent_instance;

  GFile   *file;     /* (owned) */
  guint64  size;
  char    *outcome;  /* (owned): the SHA-256, or why there is none */
};

typedef enum
{
  PROP_FILE = 1,
  PROP_NAME,
  PROP_SIZE,
  PROP_OUTCOME,
} ChecksumResultProperty;

static GParamSpec *properties[PROP_OUTCOME + 1];

G_DEFINE_FINAL_TYPE (ChecksumResult, checksum_result, G_TYPE_OBJECT)

static void
checksum_result_finalize (GObject *object)
{
  ChecksumResult *self = CHECKSUM_RESULT (object);

  g_clear_object (&self->file);
  g_clear_pointer (&self->outcome, g_free);

  G_OBJECT_CLASS (checksum_result_parent_class)->finalize (object);
}

static void
checksum_result_get_property (GObject    *object,
                              guint       prop_id,
                              GValue     *value,
                              GParamSpec *pspec)
{
  ChecksumResult *self = CHECKSUM_RESULT (object);

  switch ((ChecksumResultProperty) prop_id)
    {
    case PROP_FILE:
      g_value_set_object (value, self->file);
      break;
    case PROP_NAME:
      g_value_take_string (value, g_file_get_parse_name (self->file));
      break;
    case PROP_SIZE:
      g_value_set_uint64 (value, self->size);
      break;
    case PROP_OUTCOME:
      g_value_set_string (value, self->outcome);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
      break;
    }
}

static void
checksum_result_class_init (ChecksumResultClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->finalize = checksum_result_finalize;
  object_class->get_property = checksum_result_get_property;

  properties[PROP_FILE] =
    g_param_spec_object ("file", NULL, NULL, G_TYPE_FILE,
                         G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  properties[PROP_NAME] =
    g_param_spec_string ("name", NULL, NULL, NULL,
                         G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  properties[PROP_SIZE] =
    g_param_spec_uint64 ("size", NULL, NULL, 0, G_MAXUINT64, 0,
                         G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  properties[PROP_OUTCOME] =
    g_param_spec_string ("outcome", NULL, NULL, NULL,
                         G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, G_N_ELEMENTS (properties), properties);
}

static void
checksum_result_init (ChecksumResult *self)
{
}

ChecksumResult *
checksum_result_new (GFile      *file,
                     guint64     size,
                     const char *outcome)
{
  ChecksumResult *self = g_object_new (CHECKSUM_TYPE_RESULT, NULL);

  self->file = g_object_ref (file);
  self->size = size;
  self->outcome = g_strdup (outcome);

  return self;
}
