// A file system that lacks something, put between a real program and the system's calls.

import Foundation
import TestSupport
import Testing

/// A library that is loaded before the C library and refuses calls that its environment names.
struct FaultyFileSystem {
  /// Calls of `flock`, by the number they fail with; "0" lets all of them succeed, as where locks are local to a host.
  static let locks = "FAULTY_FLOCK"
  /// Calls of `fsync` for folders, by the number they fail with.
  static let folders = "FAULTY_FOLDER_FSYNC"
  /// Calls of `open` that create a path with these words in it fail for want of room.
  static let creation = "FAULTY_CREATE"
  /// Calls of `write` to a path with these words in it fail for want of room.
  static let writing = "FAULTY_WRITE"

  private let library: String

  /// Builds the library in a folder.
  init(in folder: TemporaryFolder) async throws {
    let source = folder.file("faulty.c")
    library = folder.file("faulty.so")
    try Data(FaultyFileSystem.text.utf8).write(to: URL(filePath: source))
    let built = try await runCommand(
      ["clang", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], of: URL(filePath: "/usr/bin/env"))
    try #require(built.status == 0, "\(built)")
  }

  /// The environment of a program with faults, by their names.
  func environment(_ faults: [String: String]) -> [String: String] {
    faults.merging(["LD_PRELOAD": library]) { fault, _ in fault }
  }

  private static let text = """
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <errno.h>
    #include <fcntl.h>
    #include <stdarg.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/stat.h>
    #include <unistd.h>

    static int fails(const char *name, const char *path, int number) {
      const char *words = getenv(name);
      if (!words || !path || !strstr(path, words)) return 0;
      errno = number;
      return 1;
    }

    int flock(int file, int operation) {
      const char *number = getenv("FAULTY_FLOCK");
      int (*real)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "flock");
      if (!number) return real(file, operation);
      errno = atoi(number);
      return errno ? -1 : 0;
    }

    int fsync(int file) {
      struct stat status;
      const char *number = getenv("FAULTY_FOLDER_FSYNC");
      int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
      if (!number || fstat(file, &status) != 0 || !S_ISDIR(status.st_mode)) return real(file);
      errno = atoi(number);
      return -1;
    }

    static int opened(const char *symbol, const char *path, int flags, va_list rest) {
      int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, symbol);
      mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
      return flags & O_CREAT && fails("FAULTY_CREATE", path, ENOSPC) ? -1 : real(path, flags, mode);
    }

    int open(const char *path, int flags, ...) {
      va_list rest;
      va_start(rest, flags);
      int file = opened("open", path, flags, rest);
      va_end(rest);
      return file;
    }

    int open64(const char *path, int flags, ...) {
      va_list rest;
      va_start(rest, flags);
      int file = opened("open64", path, flags, rest);
      va_end(rest);
      return file;
    }

    ssize_t write(int file, const void *bytes, size_t count) {
      ssize_t (*real)(int, const void *, size_t) = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
      char link[64], path[4096] = "";
      snprintf(link, sizeof link, "/proc/self/fd/%d", file);
      if (readlink(link, path, sizeof path - 1) > 0 && fails("FAULTY_WRITE", path, ENOSPC)) return -1;
      return real(file, bytes, count);
    }

    """
}
