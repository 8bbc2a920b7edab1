/* checksum-row.c: shows the progress of one worker
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "checksum-row.h"

#include "files.h"

struct _ChecksumRow
{
  GtkListBoxRow   parent_instance;

  GtkLabel       *name_label;
  GtkProgressBar *bar;

  char          **roots;    /* (owned) */
  guint64         n_bytes;  /* how much the worker has read in all */
};

G_DEFINE_FINAL_TYPE (ChecksumRow, checksum_row, GTK_TYPE_LIST_BOX_ROW)

static void
checksum_row_dispose (GObject *object)
{
  gtk_widget_dispose_template (GTK_WIDGET (object), CHECKSUM_TYPE_ROW);

  G_OBJECT_CLASS (checksum_row_parent_class)->dispose (object);
}

static void
checksum_row_finalize (GObject *object)
{
  ChecksumRow *self = CHECKSUM_ROW (object);

  g_clear_pointer (&self->roots, g_strfreev);

  G_OBJECT_CLASS (checksum_row_parent_class)->finalize (object);
}

static void
checksum_row_class_init (ChecksumRowClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  object_class->dispose = checksum_row_dispose;
  object_class->finalize = checksum_row_finalize;

  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/example/Checksum/checksum-row.ui");
  gtk_widget_class_bind_template_child (widget_class, ChecksumRow, name_label);
  gtk_widget_class_bind_template_child (widget_class, ChecksumRow, bar);
}

static void
checksum_row_init (ChecksumRow *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}

/* Runs in the main thread, as all signal handlers of receivers do here. */
static void
message_cb (GMsgReceiver *receiver,
            GVariant     *message,
            gpointer      user_data)
{
  ChecksumRow *self = user_data;
  g_autofree char *name = NULL;
  const char *path;
  guint64 done, size;

  g_variant_get (message, "(^&ayttt)", &path, &done, &size, &self->n_bytes);

  name = files_dup_name (path, (const char * const *) self->roots);
  gtk_label_set_label (self->name_label, name);
  /* A file may have grown since it was found. */
  gtk_progress_bar_set_fraction (self->bar, size > 0 ? MIN (done / (double) size, 1.0) : 1.0);
}

GtkWidget *
checksum_row_new (GMsgReceiver  *progress,
                  char         **roots)
{
  ChecksumRow *self = g_object_new (CHECKSUM_TYPE_ROW, NULL);

  self->roots = g_strdupv (roots);

  /* The row's end disconnects this handler, so no message reaches a widget that is gone. */
  g_signal_connect_object (progress, "message", G_CALLBACK (message_cb), self, G_CONNECT_DEFAULT);

  return GTK_WIDGET (self);
}

guint64
checksum_row_get_n_bytes (ChecksumRow *self)
{
  return self->n_bytes;
}
