package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNoPostgres is returned by Start when this machine has no Postgres and no
// URL of one was given. There is no stand-in: the record is the product.
var ErrNoPostgres = errors.New("no Postgres on this machine: `make setup` installs it (on Debian: apt-get install postgresql), or name a running one by its URL")

// debianPostgres is where Debian puts each version; none of it is in PATH.
const debianPostgres = "/usr/lib/postgresql"

// findPostgres lists the folders that hold both postgres and initdb, the
// preferred first: PATH, then Debian's newest, then what pg_config names.
func findPostgres(ctx context.Context, debian string) (folders []string) {
	if debian == "" {
		debian = debianPostgres
	}
	var candidates []string
	if program, err := exec.LookPath("postgres"); err == nil {
		candidates = append(candidates, filepath.Dir(program))
	}
	versions, _ := filepath.Glob(filepath.Join(debian, "*", "bin")) // the pattern is ours and valid
	slices.SortFunc(versions, func(a, b string) int {
		return debianVersion(b) - debianVersion(a)
	})
	candidates = append(candidates, versions...)
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		candidates = append(candidates, strings.TrimSpace(string(out)))
	}
	for _, folder := range candidates {
		// Where the links lead, so that initdb finds its postgres next to it.
		program, err := filepath.EvalSymlinks(filepath.Join(folder, "postgres"))
		if err != nil {
			continue
		}
		folder = filepath.Dir(program)
		if _, err := exec.LookPath(filepath.Join(folder, "initdb")); err != nil {
			continue
		}
		if !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	return folders
}

// debianVersion reads 15 from …/15/bin; what is no number comes last.
func debianVersion(bin string) int {
	version, err := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	if err != nil {
		return -1
	}
	return version
}

// programsFor chooses among the folders. A cluster is bound to the major version
// that made it; a new one gets the preferred.
func programsFor(ctx context.Context, cluster string, folders []string) (string, error) {
	text, err := os.ReadFile(filepath.Join(cluster, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return folders[0], nil
	}
	if err != nil {
		return "", fmt.Errorf("read the version of the data: %w", err)
	}
	version := strings.TrimSpace(string(text))
	for _, folder := range folders {
		out, err := exec.CommandContext(ctx, filepath.Join(folder, "postgres"), "--version").Output()
		if err != nil {
			continue
		}
		// postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)
		if words := strings.Fields(string(out)); len(words) > 2 && (words[2] == version || strings.HasPrefix(words[2], version+".")) {
			return folder, nil
		}
	}
	return "", fmt.Errorf("the data in %s was made by Postgres %s, which is not installed: install it or choose another data folder", cluster, version)
}
