// SPDX-License-Identifier: GPL-2.0-only
/*
 * This host's reservation key: what prmpath-key makes of the machine-id, unless
 * an administrator has set another one.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"

/* The script reads it too. */
const char *prm_key_file = "/etc/prmpath/key";
const char *prm_key_program;	/* NULL: beside this program */

/* As the module reads it: decimal, or 0x and up to 16 digits; never 0. */
bool parse_key(const char *word, uint64_t *key)
{
	bool hex = !strncasecmp(word, "0x", 2);
	const char *digits = hex ? word + 2 : word;
	char *end;

	if (!isxdigit((unsigned char)*digits) || (!hex && !isdigit((unsigned char)*digits)))
		return false;
	errno = 0;
	*key = strtoull(digits, &end, hex ? 16 : 10);
	return !errno && !*end && *key;
}

/* The path of prmpath-key: installed beside us, or linked there by the build. */
static int find_key_program(char *path, size_t size)
{
	ssize_t len;
	char *slash;

	if (prm_key_program) {
		snprintf(path, size, "%s", prm_key_program);
		return 0;
	}
	len = readlink("/proc/self/exe", path, size);
	if (len < 0 || (size_t)len >= size)
		return -1;
	path[len] = '\0';
	slash = strrchr(path, '/');
	len = slash ? slash + 1 - path : 0;
	snprintf(path + len, size - len, "prmpath-key");
	return 0;
}

/* Run prmpath-key with up to two words; the key is in @line. */
static int ask_program(const char *word, const char *value, char *line, size_t size)
{
	char path[512];
	int ends[2];
	pid_t child;
	FILE *f;
	int status;

	if (find_key_program(path, sizeof(path)) || pipe2(ends, O_CLOEXEC)) {
		complain("key: cannot run prmpath-key: %s", strerrordesc_np(errno));
		return EXIT_CANNOT_RUN;
	}
	fflush(NULL);
	child = fork();
	if (!child) {
		dup2(ends[1], STDOUT_FILENO);
		execl(path, "prmpath-key", word, value, (char *)NULL);
		complain("cannot run %s: %s", path, strerrordesc_np(errno));
		_exit(EXIT_CANNOT_RUN);
	}
	close(ends[1]);
	f = fdopen(ends[0], "r");
	if (!f || !fgets(line, size, f))
		line[0] = '\0';
	if (f)
		fclose(f);
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return EXIT_FAILURE;
	line[strcspn(line, "\n")] = '\0';
	return WEXITSTATUS(status);
}

static int ask_key(const char *word, const char *value, uint64_t *key)
{
	char line[64];
	int r = ask_program(word, value, line, sizeof(line));

	if (r)
		return r;
	if (parse_key(line, key))
		return 0;
	complain("key: prmpath-key printed '%.60s': expected a key", line);
	return EXIT_FAILURE;
}

int host_key(uint64_t *key)
{
	/* Spelt out, so that the two never disagree about where it is. */
	return ask_key("--key-file", prm_key_file, key);
}

static int key_show(const char *word)
{
	uint64_t key;
	int r = host_key(&key);

	(void)word;
	if (!r)
		printf("0x%016" PRIx64 "\n", key);
	return r;
}

static int key_generate(const char *word)
{
	uint64_t key;
	int r = ask_key("--machine-id", "/etc/machine-id", &key);

	(void)word;
	if (!r)
		printf("0x%016" PRIx64 "\n", key);
	return r;
}

static int key_failed(const char *what)
{
	int err = errno;

	complain("key: %s: %s%s", what, strerrordesc_np(err),
		 err == EACCES || err == EPERM ? "; run it as root" : "");
	return exit_of_errno(err);
}

static int make_key_dir(void)
{
	char *dir = text_of("%s", prm_key_file);
	int r = 0;

	if (!dir)
		return fail_no_memory();
	*strrchr(dir, '/') = '\0';
	if (mkdir(dir, 0755) && errno != EEXIST)
		r = key_failed(dir);
	free(dir);
	return r;
}

static int write_key(int fd, uint64_t key)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "0x%016" PRIx64 "\n", key);

	if (fchmod(fd, 0644))
		return -1;
	/* A disk with room for half a key is full. */
	errno = ENOSPC;
	return write(fd, text, len) != len || fsync(fd) ? -1 : 0;
}

/* In one piece or not at all: the key is read while hosts boot. */
static int replace_key(uint64_t key)
{
	char *temporary = text_of("%s.XXXXXX", prm_key_file);
	sigset_t old;
	int r = 0;
	int fd;

	if (!temporary)
		return fail_no_memory();
	/* Ctrl-C must not leave the temporary file. */
	block_ends(NULL, &old);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		r = key_failed(temporary);
		goto out;
	}
	if (write_key(fd, key) || rename(temporary, prm_key_file)) {
		r = key_failed(prm_key_file);
		unlink(temporary);
	}
	close(fd);
out:
	sigprocmask(SIG_SETMASK, &old, NULL);
	free(temporary);
	return r;
}

static int key_set(const char *word)
{
	uint64_t key;
	int r;

	if (!parse_key(word, &key)) {
		complain("key: '%s' is no key: expected a number of 64 bits other than 0, such as "
			 "0xabc1", word);
		return EXIT_USAGE;
	}
	r = make_key_dir();
	return r ? r : replace_key(key);
}

static int key_unset(const char *word)
{
	(void)word;
	if (unlink(prm_key_file) && errno != ENOENT)
		return key_failed(prm_key_file);
	return 0;
}

static const struct {
	const char *name;
	int words;
	int (*run)(const char *word);
} key_actions[] = {
	{ "show", 0, key_show },
	{ "generate", 0, key_generate },
	{ "set", 1, key_set },
	{ "unset", 0, key_unset },
};

int run_key(const struct command *cmd, int argc, char **argv)
{
	const char *action;
	size_t i;
	int r;

	r = parse_options(cmd, argc, argv, NULL, NULL);
	if (r)
		return r < 0 ? EXIT_SUCCESS : r;
	action = optind < argc ? argv[optind++] : "show";
	for (i = 0; i < ARRAY_SIZE(key_actions); i++)
		if (!strcmp(action, key_actions[i].name))
			break;
	if (i == ARRAY_SIZE(key_actions)) {
		complain("key: unknown word '%s': expected %s", action, cmd->args);
		return try_help();
	}
	if (argc - optind != key_actions[i].words) {
		complain("key: %s: expected %s", action,
			 key_actions[i].words ? "one key" : "nothing more");
		return try_help();
	}
	return key_actions[i].run(argv[optind]);
}
