/* A disk that fails on request, preloaded between a process and its C library.

   Only what lies under the folder FAILING_DISK_FOLDER is concerned. What is to go wrong is told, and what came to pass
   is counted, in the file FAILING_DISK_CONTROL, which the test has mapped as well: see disk.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

struct control {
  int32_t points;      /* calls so far that change what is on the disk */
  int32_t kill_at;     /* the process dies at this one, after half of it if it is a write; 0: never */
  int32_t write_error; /* errno of everything that takes space; 0: it works */
  int32_t sync_error;  /* errno of fsync and fdatasync */
  int32_t delay_ms;    /* of fsync and fdatasync */
  int32_t met;         /* how many calls were made to fail, or delayed */
};

static struct control *control;
static char folder[PATH_MAX];
static size_t folder_length;

__attribute__((constructor)) static void open_control(void) {
  const char *name = getenv("FAILING_DISK_CONTROL"), *root = getenv("FAILING_DISK_FOLDER");
  if (!name || !root) return;
  int file = open(name, O_RDWR);
  if (file < 0) return;
  void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (shared == MAP_FAILED) return;
  snprintf(folder, sizeof folder, "%s", root);
  folder_length = strlen(folder);
  control = shared;
}

static int concerns_path(const char *path) {
  return control && path[0] == '/' && !strncmp(path, folder, folder_length);
}

static int concerns(int file) {
  if (!control) return 0;
  char link[40], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  int saved = errno;
  ssize_t length = readlink(link, path, sizeof path - 1);
  errno = saved;
  if (length < 0) return 0;
  path[length] = 0;
  return concerns_path(path);
}

/* Count one point, and say whether the process is to die at it. */
static int is_the_last(void) {
  int point = __atomic_add_fetch(&control->points, 1, __ATOMIC_SEQ_CST);
  return control->kill_at && point == control->kill_at;
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static int fails(int error) {
  if (!error) return 0;
  __atomic_add_fetch(&control->met, 1, __ATOMIC_SEQ_CST);
  errno = error;
  return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define WRITES(type, name, parameters, call, half)   \
  type name parameters {                             \
    if (concerns(file)) {                            \
      if (is_the_last()) {                           \
        if (REAL(name) half) {}                      \
        die();                                       \
      }                                              \
      if (fails(control->write_error)) return -1;    \
    }                                                \
    return REAL(name) call;                          \
  }

WRITES(ssize_t, write, (int file, const void *data, size_t size), (file, data, size), (file, data, size / 2))
WRITES(ssize_t, pwrite, (int file, const void *data, size_t size, off_t at), (file, data, size, at),
       (file, data, size / 2, at))
WRITES(ssize_t, pwrite64, (int file, const void *data, size_t size, off64_t at), (file, data, size, at),
       (file, data, size / 2, at))
WRITES(ssize_t, writev, (int file, const struct iovec *data, int count), (file, data, count), (file, data, count / 2))
WRITES(ssize_t, pwritev, (int file, const struct iovec *data, int count, off_t at), (file, data, count, at),
       (file, data, count / 2, at))
WRITES(ssize_t, pwritev64, (int file, const struct iovec *data, int count, off64_t at), (file, data, count, at),
       (file, data, count / 2, at))

#define SYNCS(name)                                            \
  int name(int file) {                                         \
    if (concerns(file)) {                                      \
      if (is_the_last()) die();                                \
      if (control->delay_ms) {                                 \
        __atomic_add_fetch(&control->met, 1, __ATOMIC_SEQ_CST); \
        usleep(control->delay_ms * 1000);                      \
      }                                                        \
      if (fails(control->sync_error)) return -1;               \
    }                                                          \
    return REAL(name)(file);                                   \
  }

SYNCS(fsync)
SYNCS(fdatasync)

#define MOVES(name, parameters, call, path)                \
  int name parameters {                                    \
    if (concerns_path(path) && is_the_last()) die();       \
    return REAL(name) call;                                \
  }

MOVES(rename, (const char *from, const char *to), (from, to), from)
MOVES(renameat, (int from_folder, const char *from, int to_folder, const char *to), (from_folder, from, to_folder, to),
      from)
MOVES(unlink, (const char *path), (path), path)
MOVES(unlinkat, (int in, const char *path, int flags), (in, path, flags), path)

#define CUTS(name, size_type)                        \
  int name(int file, size_type size) {               \
    if (concerns(file) && is_the_last()) die();      \
    return REAL(name)(file, size);                   \
  }

CUTS(ftruncate, off_t)
CUTS(ftruncate64, off64_t)

/* It answers with the error instead of setting errno. */
#define ALLOCATES(name, offset)                                                      \
  int name(int file, offset at, offset size) {                                       \
    if (concerns(file) && fails(control->write_error)) return control->write_error;  \
    return REAL(name)(file, at, size);                                               \
  }

ALLOCATES(posix_fallocate, off_t)
ALLOCATES(posix_fallocate64, off64_t)
