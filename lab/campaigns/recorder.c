/* Records every change that a process makes to the files of one folder, in the order of the calls.
 *
 * Loaded with LD_PRELOAD, so that the writes of SQLite are recorded like those of Python.
 *   RECORD_FOLDER   absolute path of the folder
 *   RECORD_LOG      file to append to, outside of that folder
 * A record is a header (below), the path, the second path of a rename, and the written bytes.
 * A call that would change the folder without being recorded ends the process. The one exception is
 * SQLite's shared memory (-shm), which is no part of what a disk holds after a power loss.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct header {
  uint8_t kind;
  uint8_t pad[7];
  uint64_t inode, offset;
  uint32_t path, target, data, unused;
};

enum { CREATE = 1, MAKE_FOLDER, WRITE, TRUNCATE, SYNC, RENAME, REMOVE, EXCHANGE };

/* The next definition of a function: that of the C library. */
#define REAL(name) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static const char *folder(void) {
  static const char *found;
  if (!found) found = getenv("RECORD_FOLDER");
  return found ? found : "";
}

static int inside(const char *path) {
  size_t size = strlen(folder());
  return size && !strncmp(path, folder(), size) && (path[size] == '/' || !path[size]);
}

static int shared_memory(const char *path) {
  size_t size = strlen(path);
  return size > 4 && !strcmp(path + size - 4, "-shm");
}

static void fail(const char *what) {
  fprintf(stderr, "recorder: %s\n", what);
  abort();
}

/* The path of a descriptor, if it is of the folder; else an empty string. */
static const char *path_of(int descriptor, char *buffer) {
  char link[64];
  int saved = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t size = readlink(link, buffer, PATH_MAX - 1);
  errno = saved;
  buffer[size < 0 ? 0 : size] = 0;
  if (!inside(buffer) || shared_memory(buffer)) buffer[0] = 0;
  return buffer;
}

/* The absolute path that a call names, if it is of the folder; else an empty string. */
static const char *path_at(int base, const char *name, char *buffer) {
  if (name[0] == '/' || base == AT_FDCWD) {
    snprintf(buffer, PATH_MAX, "%s", name[0] == '/' ? name : "");
  } else if (*path_of(base, buffer)) {
    size_t size = strlen(buffer);
    snprintf(buffer + size, PATH_MAX - size, "/%s", name);
  }
  if (!inside(buffer) || shared_memory(buffer)) buffer[0] = 0;
  return buffer;
}

static void record(int kind, const char *path, const char *target, uint64_t inode, uint64_t offset,
                   const void *data, size_t size) {
  static __typeof__(&writev) real_writev;
  static __typeof__(&open) real_open;
  static int log = -1;
  int saved = errno;
  if (log < 0) {
    real_writev = (__typeof__(&writev))dlsym(RTLD_NEXT, "writev");
    real_open = (__typeof__(&open))dlsym(RTLD_NEXT, "open");
    log = real_open(getenv("RECORD_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  }
  struct header head = {kind, {0}, inode, offset, strlen(path), strlen(target), size, 0};
  struct iovec parts[] = {{&head, sizeof head}, {(void *)path, head.path},
                          {(void *)target, head.target}, {(void *)data, size}};
  if (log < 0 || real_writev(log, parts, 4) != (ssize_t)(sizeof head + head.path + head.target + size))
    fail("cannot write the log");
  errno = saved;
}

static uint64_t inode_of(int descriptor) {
  struct stat found;
  if (fstat(descriptor, &found)) fail("fstat failed");
  return found.st_ino;
}

/* Files. `existed`: looked up before the call, so that only new names are recorded. */
static int opened(const char *path, int existed, int flags, int descriptor) {
  if (descriptor < 0 || !*path) return descriptor;
  if (!existed)
    record(CREATE, path, "", inode_of(descriptor), 0, "", 0);
  else if ((flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY)
    record(TRUNCATE, path, "", inode_of(descriptor), 0, "", 0);
  return descriptor;
}

#define OPEN(name, parameters, base, call) \
  int name parameters { \
    REAL(name); \
    char buffer[PATH_MAX]; \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
      va_list rest; \
      va_start(rest, flags); \
      mode = va_arg(rest, mode_t); \
      va_end(rest); \
    } \
    const char *found = path_at(base, path, buffer); \
    int existed = !(flags & O_CREAT) || !*found || access(found, F_OK) == 0; \
    return opened(found, existed, flags, real call); \
  }
OPEN(open, (const char *path, int flags, ...), AT_FDCWD, (path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD, (path, flags, mode))
OPEN(openat, (int base, const char *path, int flags, ...), base, (base, path, flags, mode))
OPEN(openat64, (int base, const char *path, int flags, ...), base, (base, path, flags, mode))

static ssize_t written(int descriptor, const void *data, ssize_t size, off_t end) {
  char buffer[PATH_MAX];
  if (size > 0 && *path_of(descriptor, buffer))
    record(WRITE, buffer, "", inode_of(descriptor), end - size, data, size);
  return size;
}

ssize_t write(int descriptor, const void *data, size_t size) {
  REAL(write);
  ssize_t done = real(descriptor, data, size);
  char buffer[PATH_MAX];
  if (done <= 0 || !*path_of(descriptor, buffer)) return done;
  return written(descriptor, data, done, lseek(descriptor, 0, SEEK_CUR));
}

#define PWRITE(name) \
  ssize_t name(int descriptor, const void *data, size_t size, __off64_t offset) { \
    REAL(name); \
    ssize_t done = real(descriptor, data, size, offset); \
    return written(descriptor, data, done, offset + (done > 0 ? done : 0)); \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

#define RESIZE(name) \
  int name(int descriptor, __off64_t size) { \
    REAL(name); \
    char buffer[PATH_MAX]; \
    int failed = real(descriptor, size); \
    if (!failed && *path_of(descriptor, buffer)) \
      record(TRUNCATE, buffer, "", inode_of(descriptor), size, "", 0); \
    return failed; \
  }
RESIZE(ftruncate)
RESIZE(ftruncate64)

#define FLUSH(name) \
  int name(int descriptor) { \
    REAL(name); \
    char buffer[PATH_MAX]; \
    int failed = real(descriptor); \
    if (!failed && *path_of(descriptor, buffer)) \
      record(SYNC, buffer, "", inode_of(descriptor), 0, "", 0); \
    return failed; \
  }
FLUSH(fsync)
FLUSH(fdatasync)

/* Names. */
static int renamed(int kind, int from, const char *old, int to, const char *new, int failed) {
  char first[PATH_MAX], second[PATH_MAX];
  path_at(from, old, first);
  path_at(to, new, second);
  if (!failed && (*first || *second)) {
    if (!*first || !*second) fail("a rename into or out of the folder");
    record(kind, first, second, 0, 0, "", 0);
  }
  return failed;
}

int rename(const char *old, const char *new) {
  REAL(rename);
  return renamed(RENAME, AT_FDCWD, old, AT_FDCWD, new, real(old, new));
}

int renameat(int from, const char *old, int to, const char *new) {
  REAL(renameat);
  return renamed(RENAME, from, old, to, new, real(from, old, to, new));
}

int renameat2(int from, const char *old, int to, const char *new, unsigned int flags) {
  REAL(renameat2);
  if (flags & ~RENAME_EXCHANGE) fail("a rename with flags that are not modelled");
  int kind = flags & RENAME_EXCHANGE ? EXCHANGE : RENAME;
  return renamed(kind, from, old, to, new, real(from, old, to, new, flags));
}

static int removed(int base, const char *name, int failed) {
  char buffer[PATH_MAX];
  if (!failed && *path_at(base, name, buffer)) record(REMOVE, buffer, "", 0, 0, "", 0);
  return failed;
}

int unlink(const char *path) {
  REAL(unlink);
  return removed(AT_FDCWD, path, real(path));
}

int rmdir(const char *path) {
  REAL(rmdir);
  return removed(AT_FDCWD, path, real(path));
}

int unlinkat(int base, const char *path, int flags) {
  REAL(unlinkat);
  return removed(base, path, real(base, path, flags));
}

static int made(int base, const char *name, int failed) {
  char buffer[PATH_MAX];
  struct stat found;
  if (!failed && *path_at(base, name, buffer)) {
    if (stat(buffer, &found)) fail("stat failed");
    record(MAKE_FOLDER, buffer, "", found.st_ino, 0, "", 0);
  }
  return failed;
}

int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  return made(AT_FDCWD, path, real(path, mode));
}

int mkdirat(int base, const char *path, mode_t mode) {
  REAL(mkdirat);
  return made(base, path, real(base, path, mode));
}

/* Ways to change a file that are not recorded: none may be taken. */
#define REFUSE(result, name, parameters, call, descriptor, when) \
  result name parameters { \
    REAL(name); \
    char buffer[PATH_MAX]; \
    if ((when) && *path_of(descriptor, buffer)) fail(#name " is not recorded"); \
    return real call; \
  }
REFUSE(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), fd, 1)
REFUSE(ssize_t, pwritev, (int fd, const struct iovec *parts, int count, __off64_t at),
       (fd, parts, count, at), fd, 1)
REFUSE(int, posix_fallocate, (int fd, __off64_t at, __off64_t size), (fd, at, size), fd, 1)
REFUSE(int, fallocate, (int fd, int mode, __off64_t at, __off64_t size), (fd, mode, at, size), fd, 1)
REFUSE(ssize_t, copy_file_range,
       (int from, __off64_t *in, int to, __off64_t *out, size_t size, unsigned flags),
       (from, in, to, out, size, flags), to, 1)
REFUSE(void *, mmap, (void *at, size_t size, int protection, int flags, int fd, __off64_t offset),
       (at, size, protection, flags, fd, offset), fd,
       fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE))
REFUSE(void *, mmap64, (void *at, size_t size, int protection, int flags, int fd, __off64_t offset),
       (at, size, protection, flags, fd, offset), fd,
       fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE))

#include <sys/sendfile.h>
REFUSE(ssize_t, sendfile, (int to, int from, off_t *offset, size_t size), (to, from, offset, size), to, 1)
REFUSE(ssize_t, sendfile64, (int to, int from, __off64_t *offset, size_t size),
       (to, from, offset, size), to, 1)
