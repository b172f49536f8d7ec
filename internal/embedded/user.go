package embedded

import (
	"errors"
	"fmt"
	"os"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// user is the account that Postgres runs under when root starts it; nil is the
// one we run under ourselves.
type user struct {
	name     string
	uid, gid int
}

// serverUser chooses that account.
func serverUser() (*user, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := osuser.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(found.Uid)
		gid, gidErr := strconv.Atoi(found.Gid)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("account %s: %w", name, err)
		}
		return &user{name, uid, gid}, nil
	}
	return nil, errors.New("postgres refuses to run as root, and there is no user postgres or nobody to run it as")
}

func (u *user) credential() *syscall.Credential {
	if u == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(u.uid), Gid: uint32(u.gid)}
}

// own hands a file or an empty folder to the account.
func (u *user) own(path string) error {
	if u == nil {
		return nil
	}
	return os.Chown(path, u.uid, u.gid)
}

// letIn makes the account able to pass through the data folder, whose secrets
// have modes of their own, and checks that it may pass through all those above.
// They are not opened up for it: who made /root private meant it.
func (u *user) letIn(folder string) error {
	if u == nil {
		return nil
	}
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	if err := os.Chmod(folder, info.Mode().Perm()|0o111); err != nil {
		return err
	}
	for at := folder; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		stat, known := info.Sys().(*syscall.Stat_t)
		mayEnter := info.Mode().Perm()&0o001 != 0
		if known && int(stat.Uid) == u.uid {
			mayEnter = info.Mode().Perm()&0o100 != 0
		} else if known && int(stat.Gid) == u.gid {
			mayEnter = info.Mode().Perm()&0o010 != 0
		}
		if !mayEnter {
			return fmt.Errorf("the data folder %s is closed to the user %s, who runs postgres because root may not: %s has mode %o; choose another data folder or open that one (chmod o+x)",
				folder, u.name, at, info.Mode().Perm())
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}
