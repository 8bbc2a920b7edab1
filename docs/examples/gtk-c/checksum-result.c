/* checksum-result.c: the result for one file
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "checksum-result.h"

struct _ChecksumResult
{
  GObject  parent_instance;

  GFile   *file;      /* (owned) */
  char    *name;      /* (owned): the name to show */
  guint64  size;
  char    *checksum;  /* (owned) (nullable) */
  char    *problem;   /* (owned) (nullable): why there is no checksum */
};

typedef enum
{
  PROP_FILE = 1,
  PROP_NAME,
  PROP_SIZE,
  PROP_SIZE_TEXT,
  PROP_CHECKSUM,
  PROP_CHECKSUM_TARGET,
  PROP_PROBLEM,
  PROP_SUCCEEDED,
  PROP_ICON_NAME,
} ChecksumResultProperty;

static GParamSpec *properties[PROP_ICON_NAME + 1];

G_DEFINE_FINAL_TYPE (ChecksumResult, checksum_result, G_TYPE_OBJECT)

static void
checksum_result_finalize (GObject *object)
{
  ChecksumResult *self = CHECKSUM_RESULT (object);

  g_clear_object (&self->file);
  g_clear_pointer (&self->name, g_free);
  g_clear_pointer (&self->checksum, g_free);
  g_clear_pointer (&self->problem, g_free);

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
      g_value_set_string (value, self->name);
      break;
    case PROP_SIZE:
      g_value_set_uint64 (value, self->size);
      break;
    case PROP_SIZE_TEXT:
      g_value_take_string (value, self->problem == NULL ? g_format_size (self->size) : NULL);
      break;
    case PROP_CHECKSUM:
      g_value_set_string (value, self->checksum);
      break;
    case PROP_CHECKSUM_TARGET:
      g_value_set_variant (value, g_variant_new_string (self->checksum != NULL ? self->checksum : ""));
      break;
    case PROP_PROBLEM:
      g_value_set_string (value, self->problem);
      break;
    case PROP_SUCCEEDED:
      g_value_set_boolean (value, self->problem == NULL);
      break;
    case PROP_ICON_NAME:
      g_value_set_string (value, self->problem == NULL ? "checksum-done-symbolic" : "checksum-failed-symbolic");
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
      break;
    }
}

static void
checksum_result_class_init (ChecksumResultClass *klass)
{
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->finalize = checksum_result_finalize;
  object_class->get_property = checksum_result_get_property;

  properties[PROP_FILE] =
    g_param_spec_object ("file", NULL, NULL, G_TYPE_FILE, flags);
  properties[PROP_NAME] =
    g_param_spec_string ("name", NULL, NULL, NULL, flags);
  properties[PROP_SIZE] =
    g_param_spec_uint64 ("size", NULL, NULL, 0, G_MAXUINT64, 0, flags);
  properties[PROP_SIZE_TEXT] =
    g_param_spec_string ("size-text", NULL, NULL, NULL, flags);
  properties[PROP_CHECKSUM] =
    g_param_spec_string ("checksum", NULL, NULL, NULL, flags);
  /* The target of the action that copies the checksum */
  properties[PROP_CHECKSUM_TARGET] =
    g_param_spec_variant ("checksum-target", NULL, NULL, G_VARIANT_TYPE_STRING, NULL, flags);
  properties[PROP_PROBLEM] =
    g_param_spec_string ("problem", NULL, NULL, NULL, flags);
  properties[PROP_SUCCEEDED] =
    g_param_spec_boolean ("succeeded", NULL, NULL, FALSE, flags);
  properties[PROP_ICON_NAME] =
    g_param_spec_string ("icon-name", NULL, NULL, NULL, flags);
  g_object_class_install_properties (object_class, G_N_ELEMENTS (properties), properties);
}

static void
checksum_result_init (ChecksumResult *self)
{
}

/* Either @checksum or @problem is set. */
ChecksumResult *
checksum_result_new (GFile      *file,
                     const char *name,
                     guint64     size,
                     const char *checksum,
                     const char *problem)
{
  ChecksumResult *self = g_object_new (CHECKSUM_TYPE_RESULT, NULL);

  self->file = g_object_ref (file);
  self->name = g_strdup (name);
  self->size = size;
  self->checksum = g_strdup (checksum);
  self->problem = g_strdup (problem);

  return self;
}

const char *
checksum_result_get_checksum (ChecksumResult *self)
{
  return self->checksum;
}
