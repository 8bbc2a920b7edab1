/* checksum.vala: a window that computes the SHA-256 of every file in folders
 *
 * Threads compute the checksums, and send their progress and results to the window. Each
 * thread has two pipes. Only the latest message counts in the pipe for its progress:
 *
 *   (n_files, n_bytes)                from the walk: how much it has found
 *   (path, done, size, n_bytes)       from a worker: its position in its file,
 *                                     and how much it has read in all
 *
 * Every message counts in the pipe for its results:
 *
 *   (path, size, succeeded, outcome)  the SHA-256, or why there is none
 *
 * Paths are bytestrings, since a name may be in any encoding.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

const string APPLICATION_ID = "org.example.Checksum";

/* After each block, a worker checks whether it was cancelled, and reports its progress. */
const size_t BLOCK_SIZE = 256 * 1024;

/* How many results of one thread may wait for delivery. A thread that is faster than the main
 * thread waits for it, instead of filling the memory. */
const uint RESULTS_CAPACITY = 64;

/* How long the program waits for threads that don't end, in microseconds */
const int64 SHUTDOWN_USEC = 10 * TimeSpan.SECOND;

const string ATTRIBUTES = "standard::name,standard::type,standard::size";

/* A file that the walk has found for the workers; one without a path ends a worker. */
class FoundFile
{
  public string? path;
  public uint64 size;

  public FoundFile (string? path, uint64 size)
  {
    this.path = path;
    this.size = size;
  }
}

/* The work of one thread */
class Task
{
  GMsg.Sender progress;
  GMsg.Sender results;
  AsyncQueue<FoundFile> files;
  Cancellable cancellable;
  uint64 n_files;
  uint64 n_bytes;

  public Task (GMsg.Sender progress, GMsg.Sender results, AsyncQueue<FoundFile> files)
  {
    this.progress = progress;
    this.results = results;
    this.files = files;
    cancellable = results.get_cancellable ();
  }

  void send_result (string path, uint64 size, bool succeeded, string outcome) throws GLib.Error
  {
    results.send (new Variant ("(^aytbs)", path, size, succeeded, outcome));
  }

  /* A file that can't be read does not end the work; any other error does. */
  void send_problem (string path, Error error) throws GLib.Error
  {
    if (!(error is IOError) || error is IOError.CANCELLED)
      throw error;
    send_result (path, 0, false, error.message);
  }

  void find (File file, FileInfo info) throws GLib.Error
  {
    if (info.get_file_type () == FileType.REGULAR)
      {
        files.push (new FoundFile (file.get_path (), info.get_size ()));
        n_files++;
        n_bytes += info.get_size ();
        progress.send (new Variant ("(tt)", n_files, n_bytes));
      }
    else if (info.get_file_type () == FileType.DIRECTORY)
      {
        try
          {
            var enumerator = file.enumerate_children (ATTRIBUTES, FileQueryInfoFlags.NOFOLLOW_SYMLINKS,
                                                      cancellable);
            FileInfo? child;

            while ((child = enumerator.next_file (cancellable)) != null)
              find (enumerator.get_child (child), child);
          }
        catch (Error error)
          {
            send_problem (file.get_path (), error);
          }
      }
  }

  void find_below (File root) throws GLib.Error
  {
    try
      {
        find (root, root.query_info (ATTRIBUTES, FileQueryInfoFlags.NOFOLLOW_SYMLINKS, cancellable));
      }
    catch (Error error)
      {
        send_problem (root.get_path (), error);
      }
  }

  void compute (FoundFile file, uint8[] buffer) throws GLib.Error
  {
    var digest = new Digest ();
    uint64 done = 0;

    try
      {
        var stream = File.new_for_path (file.path).read (cancellable);

        while (true)
          {
            progress.send (new Variant ("(^ayttt)", file.path, done, file.size, n_bytes));

            /* Fails once the main thread has called receiver.cancel() */
            var count = stream.read (buffer, cancellable);

            if (count == 0)
              break;
            digest.update (buffer[0:count]);
            done += count;
            n_bytes += count;
          }
        send_result (file.path, done, true, digest.finish ());
      }
    catch (Error error)
      {
        send_problem (file.path, error);
      }
  }

  delegate void Work () throws GLib.Error;

  /* The progress ends first, so that its last value arrives before the end of the results. */
  void run (Work work)
  {
    try
      {
        try
          {
            work ();
          }
        catch (IOError.CANCELLED error)
          {
          }
        catch (Error error)
          {
            progress.fail (error);
            results.fail (error);
            return;
          }
        progress.stop ();
        results.stop ();
      }
    catch (Error error)
      {
        /* The window no longer listens. */
      }
  }

  public void walk (string[] roots)
  {
    run (() => {
      foreach (var root in roots)
        find_below (File.new_for_path (root));
    });
    for (uint i = 0; i < get_num_processors (); i++)
      files.push (new FoundFile (null, 0));
  }

  public void work ()
  {
    run (() => {
      var buffer = new uint8[BLOCK_SIZE];
      FoundFile file;

      while ((file = files.pop ()).path != null)
        compute (file, buffer);
    });
  }
}

/* The result for one file: either a checksum or a problem */
class ChecksumResult : Object
{
  public File file { get; construct; }
  public string name { get; construct; }
  public uint64 size { get; construct; }
  public string? checksum { get; construct; }
  public string? problem { get; construct; }

  public bool succeeded { get { return problem == null; } }
  public string? size_text { owned get { return succeeded ? format_size (size) : null; } }
  public string icon_name { get { return succeeded ? "checksum-done-symbolic" : "checksum-failed-symbolic"; } }
  /* The target of the action that copies the checksum */
  public Variant checksum_target { owned get { return new Variant.string (checksum ?? ""); } }

  public ChecksumResult (File file, string name, uint64 size, string? checksum, string? problem)
  {
    Object (file: file, name: name, size: size, checksum: checksum, problem: problem);
  }
}

/* Returns the name to show for a path: relative to its root, with the root's own name in
 * front if there are several roots or the root is the file itself. */
string shorten (string path, string[] roots)
{
  foreach (unowned var root in roots)
    {
      if (roots.length == 1 && path.has_prefix (root + "/"))
        return Filename.display_name (path.offset (root.length + 1));
      if (path == root || path.has_prefix (root + "/"))
        return Filename.display_name (path.offset (root.last_index_of_char ('/') + 1));
    }
  return Filename.display_name (path);
}

/* Shows the progress of one worker */
[GtkTemplate (ui = "/org/example/Checksum/checksum-row.ui")]
class ChecksumRow : Gtk.ListBoxRow
{
  [GtkChild]
  unowned Gtk.Label name_label;
  [GtkChild]
  unowned Gtk.ProgressBar bar;

  public string[] roots;
  public uint64 n_bytes;

  public void show_progress (Variant message)
  {
    uint64 done, size;
    string path;

    message.get ("(^ayttt)", out path, out done, out size, out n_bytes);
    name_label.label = shorten (path, roots);
    /* A file may have grown since it was found. */
    bar.fraction = size > 0 ? double.min (done / (double) size, 1) : 1;
  }
}

/* A window that shows the checksums of all files in chosen folders */
[GtkTemplate (ui = "/org/example/Checksum/checksum-window.ui")]
class ChecksumWindow : Adw.ApplicationWindow
{
  [GtkChild]
  unowned Adw.WindowTitle window_title;
  [GtkChild]
  unowned Gtk.Button action_button;
  [GtkChild]
  unowned Adw.ToastOverlay toasts;
  [GtkChild]
  unowned Gtk.Stack stack;
  [GtkChild]
  unowned Gtk.Label total_label;
  [GtkChild]
  unowned Gtk.Label detail_label;
  [GtkChild]
  unowned Gtk.Revealer work_revealer;
  [GtkChild]
  unowned Gtk.ProgressBar total_bar;
  [GtkChild]
  unowned Gtk.ListBox rows;
  [GtkChild]
  unowned Gtk.MultiSelection selection;
  [GtkChild]
  unowned ListStore results;

  GMsg.Router router = new GMsg.Router (null);
  GenericArray<GMsg.Receiver> receivers = new GenericArray<GMsg.Receiver> ();  /* not finished yet */
  Gtk.FileChooserNative? dialog;
  string[] roots = {};
  int64 start_time;
  uint64 n_found;
  uint64 n_done;
  uint64 n_failed;
  uint64 bytes_found;
  bool all_found;
  bool stopped;
  bool failed;       /* a whole thread has failed, not only a file */
  string? problem;   /* the last one */
  uint tick_id;

  static construct
  {
    typeof (ChecksumResult).ensure ();
    install_action ("win.open", null, (widget) => ((ChecksumWindow) widget).choose ());
    install_action ("win.stop", null, (widget) => ((ChecksumWindow) widget).stop ());
    install_action ("win.copy", "s", (widget, name, checksum) =>
      ((ChecksumWindow) widget).copy ({ checksum.get_string () }));
    install_action ("win.copy-selected", null, (widget) => ((ChecksumWindow) widget).copy_selected ());
  }

  public ChecksumWindow (Gtk.Application application)
  {
    Object (application: application);
    set_working (false);
    try
      {
        router.start ();
      }
    catch (Error error)
      {
        GLib.error ("%s", error.message);
      }
  }

  void set_working (bool working)
  {
    action_set_enabled ("win.open", !working);
    action_set_enabled ("win.stop", working);
    action_button.action_name = working ? "win.stop" : "win.open";
    action_button.label = working ? "_Stop" : "_Open…";
    work_revealer.reveal_child = working;
  }

  public void start (File[] files)
  {
    var found = new AsyncQueue<FoundFile> ();
    string[] paths = {}, names = {};
    Gtk.Widget? row;

    while ((row = rows.get_first_child ()) != null)
      rows.remove (row);
    results.remove_all ();
    start_time = get_monotonic_time ();
    n_found = n_done = n_failed = bytes_found = 0;
    all_found = stopped = failed = false;
    problem = null;
    foreach (unowned var file in files)
      {
        /* Files on another machine have no path. */
        if (file.get_path () == null)
          continue;
        paths += file.get_path ();
        names += Filename.display_basename (file.get_path ());
      }
    roots = paths;

    try
      {
        start_walk (found);
        for (uint i = 0; i < get_num_processors (); i++)
          start_worker (found);
      }
    catch (Error error)
      {
        GLib.error ("%s", error.message);
      }

    window_title.subtitle = string.joinv (", ", names);
    stack.visible_child_name = "results";
    action_button.visible = true;
    tick_id = add_tick_callback (() => {
      show_progress (null);
      return Source.CONTINUE;
    });
    set_working (true);
  }

  void start_walk (AsyncQueue<FoundFile> found) throws GLib.Error
  {
    GMsg.Receiver progress;
    var task = new Task (open_progress (out progress), open_results (), found);
    var paths = roots;

    progress.message.connect ((message) => message.get ("(tt)", out n_found, out bytes_found));
    /* A walk that was stopped, or has failed, has not seen everything. */
    progress.finished.connect ((error) => all_found = !stopped && error == null);
    new Thread<void> ("walk", () => task.walk (paths));
  }

  void start_worker (AsyncQueue<FoundFile> found) throws GLib.Error
  {
    GMsg.Receiver progress;
    var task = new Task (open_progress (out progress), open_results (), found);
    var row = new ChecksumRow ();

    row.roots = roots;
    progress.message.connect (row.show_progress);
    rows.append (row);
    new Thread<void> ("worker", task.work);
  }

  /* A label shows only the latest value. */
  GMsg.Sender open_progress (out GMsg.Receiver receiver) throws GLib.Error
  {
    return open_pipe (1, GMsg.Overflow.DROP_OLDEST, out receiver);
  }

  /* The list shows every result. */
  GMsg.Sender open_results () throws GLib.Error
  {
    GMsg.Receiver receiver;
    var sender = open_pipe (RESULTS_CAPACITY, GMsg.Overflow.BLOCK, out receiver);

    receiver.pull_mode = true;
    receiver.ready.connect (take_results);
    return sender;
  }

  GMsg.Sender open_pipe (uint capacity, GMsg.Overflow overflow, out GMsg.Receiver receiver) throws GLib.Error
  {
    var sender = router.pipe_bounded (capacity, overflow, out receiver);

    sender.start ();
    receiver.finished.connect (note_end_of_pipe);
    receivers.add (receiver);
    return sender;
  }

  /* Adds all waiting results to the list at once, so that its views are updated once and not
   * for each result. */
  void take_results (GMsg.Receiver receiver)
  {
    Object[] new_results = {};

    try
      {
        foreach (unowned var message in receiver.take (0))
          new_results += take_result (message);
      }
    catch (Error error)
      {
        GLib.error ("%s", error.message);
      }
    results.splice (results.get_n_items (), 0, new_results);
  }

  ChecksumResult take_result (Variant message)
  {
    string path, outcome;
    bool succeeded;
    uint64 size;

    message.get ("(^aytbs)", out path, out size, out succeeded, out outcome);

    var name = shorten (path, roots);

    if (succeeded)
      {
        n_done++;
      }
    else
      {
        n_failed++;
        problem = @"Could not read “$name”: $outcome";
      }
    return new ChecksumResult (File.new_for_path (path), name, size, succeeded ? outcome : null,
                               succeeded ? null : outcome);
  }

  void note_end_of_pipe (GMsg.Receiver receiver, Error? error)
  {
    /* A thread has failed, or has ended without stopping its senders. */
    if (error != null)
      {
        failed = true;
        problem = error.message;
      }

    try
      {
        router.close_pipe (receiver);
      }
    catch (Error error)
      {
        GLib.error ("%s", error.message);
      }
    receivers.remove_fast (receiver);
    if (receivers.length == 0)
      end_work ();
  }

  /* One toast reports what went wrong, no matter how many problems there were. */
  void end_work ()
  {
    remove_tick_callback (tick_id);
    show_progress (stopped ? "Stopped: " : failed ? "Not complete: " : "Done: ");
    set_working (false);

    if (n_failed > 1 && !failed)
      show_toast (@"Could not read $n_failed files");
    else if (problem != null)
      show_toast (problem);
  }

  void show_toast (string text)
  {
    toasts.add_toast (new Adw.Toast (Markup.escape_text (text)));
  }

  /* Shows the progress of the work, or how it ended if there is a state. It is called once a
   * frame, no matter how many messages have come. */
  void show_progress (string? state)
  {
    var seconds = int64.max (get_monotonic_time () - start_time, 1) / (double) TimeSpan.SECOND;
    uint64 bytes_done = 0;

    for (var row = rows.get_first_child (); row != null; row = row.get_next_sibling ())
      bytes_done += ((ChecksumRow) row).n_bytes;

    var fraction = n_found > 0 ? n_done / (double) n_found : 0;
    var more = all_found ? "" : "+";
    var detail = format_size (bytes_done);

    if (bytes_found > 0)
      fraction = double.min (bytes_done / (double) bytes_found, 1);
    detail += state == null ? @" of $(format_size (bytes_found))" : " in %.1f s".printf (seconds);
    detail += @", $(format_size ((uint64) (bytes_done / seconds)))/s";
    /* While files are still being found, any estimate would be wrong. */
    if (all_found && fraction > 0 && state == null)
      {
        var left = (int) (seconds * (1 - fraction) / fraction + 0.5);

        detail += ", %d:%02d left".printf (left / 60, left % 60);
      }
    if (n_failed > 0)
      detail += @", $n_failed failed";

    total_label.label = @"$(state ?? "")$n_done of $n_found$more files";
    detail_label.label = detail;
    total_bar.fraction = fraction;
  }

  void choose ()
  {
    dialog = new Gtk.FileChooserNative ("Choose Folders", this, Gtk.FileChooserAction.SELECT_FOLDER, null, null);
    dialog.modal = true;
    dialog.select_multiple = true;
    dialog.response.connect ((response) => {
      if (response == Gtk.ResponseType.ACCEPT)
        {
          var chosen = dialog.get_files ();
          File[] files = {};

          for (uint i = 0; i < chosen.get_n_items (); i++)
            files += (File) chosen.get_item (i);
          start (files);
        }
      dialog = null;
    });
    dialog.show ();
  }

  void stop ()
  {
    stopped = true;
    foreach (unowned var receiver in receivers)
      receiver.cancel ();
  }

  /* Copies the checksums, one per line. */
  void copy (string[] checksums)
  {
    if (checksums.length == 0)
      return;
    get_clipboard ().set_text (string.joinv ("\n", checksums));
    show_toast (checksums.length == 1 ? "Checksum copied" : @"$(checksums.length) checksums copied");
  }

  void copy_selected ()
  {
    var selected = selection.get_selection ();
    string[] checksums = {};

    for (uint i = 0; i < selected.get_size (); i++)
      {
        var result = (ChecksumResult) selection.get_item (selected.get_nth (i));

        if (result.succeeded)
          checksums += result.checksum;
      }
    copy (checksums);
  }

  /* The window disappears at once, but is destroyed only when the threads have ended: a program
   * runs as long as it has a window, even a hidden one. */
  public override bool close_request ()
  {
    if (visible)
      {
        visible = false;
        shut_down.begin ();
      }
    return Gdk.EVENT_STOP;
  }

  async void shut_down ()
  {
    try
      {
        yield router.shutdown_async (SHUTDOWN_USEC, null);
      }
    catch (Error error)
      {
        printerr ("%s\n", error.message);
      }
    destroy ();
  }
}

/* Opens the windows, and shows the About dialog */
class ChecksumApplication : Adw.Application
{
  const ActionEntry[] ENTRIES = {
    { "new-window", open_window },
    { "about", show_about },
    { "quit", close_windows },
  };

  public ChecksumApplication ()
  {
    Object (application_id: APPLICATION_ID,
            flags: ApplicationFlags.HANDLES_OPEN | ApplicationFlags.NON_UNIQUE);
  }

  public override void startup ()
  {
    base.startup ();
    add_action_entries (ENTRIES, this);
    set_accels_for_action ("app.new-window", { "<Control>n" });
    set_accels_for_action ("app.quit", { "<Control>q" });
    set_accels_for_action ("window.close", { "<Control>w" });
    set_accels_for_action ("win.open", { "<Control>o" });
    set_accels_for_action ("win.stop", { "Escape" });
    set_accels_for_action ("win.copy-selected", { "<Control>c" });
    Gtk.Window.set_default_icon_name (APPLICATION_ID);
  }

  public override void activate ()
  {
    new ChecksumWindow (this).present ();
  }

  public override void open (File[] files, string hint)
  {
    var window = new ChecksumWindow (this);

    window.start (files);
    window.present ();
  }

  void open_window ()
  {
    activate ();
  }

  void show_about ()
  {
    new Adw.AboutWindow () {
      transient_for = active_window,
      application_name = "Checksum",
      application_icon = APPLICATION_ID,
      comments = "Computes the SHA-256 of every file in the folders that you choose.",
      copyright = "© 2026 The gmsgrouter authors",
      developer_name = "The gmsgrouter authors",
      license_type = Gtk.License.LGPL_2_1,
    }.present ();
  }

  /* quit() would not wait for the threads to end. */
  void close_windows ()
  {
    foreach (var window in get_windows ().copy ())
      window.close ();
  }
}

int main (string[] args)
{
  return new ChecksumApplication ().run (args);
}
