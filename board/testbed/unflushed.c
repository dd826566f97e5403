// Takes flushes away from a program that is started with LD_PRELOAD: fsync and fdatasync of a file do nothing and succeed, if its path contains
// the text of the variable UNFLUSHED. So a test shows that it would notice.

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_unflushed(int file)
{
	char link[32], path[PATH_MAX];
	const char *text = getenv("UNFLUSHED");
	snprintf(link, sizeof link, "/proc/self/fd/%d", file);
	ssize_t length = readlink(link, path, sizeof path - 1);
	if (length < 0 || text == NULL)
		return 0;
	path[length] = '\0';
	return strstr(path, text) != NULL;
}

int fsync(int file)
{
	return is_unflushed(file) ? 0 : (int)syscall(SYS_fsync, file);
}

int fdatasync(int file)
{
	return is_unflushed(file) ? 0 : (int)syscall(SYS_fdatasync, file);
}
