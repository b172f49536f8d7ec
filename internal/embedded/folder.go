package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrInUse is wrapped by Start when another sluice works in the data folder.
var ErrInUse = errors.New("in use by another sluice")

// goneGrace is how long Start waits for the servers of a killed run to stop. They
// were told when their parent died; a last checkpoint may take its time.
const goneGrace = 30 * time.Second

// folder is a data folder that is ours until close.
//
// Two locks guard it. "lock" says that a sluice uses the folder, and ends with
// it. "children" is inherited by every server that works in the folder, and by
// its own children: it is free when the last of them is gone. So the leftovers of
// a killed run are waited for without looking for process numbers, which lie.
type folder struct {
	path           string
	lock, children *os.File
}

// openFolder makes the folder if it is missing, and locks it.
func openFolder(ctx context.Context, path string, log func(string, ...any)) (_ *folder, err error) {
	if path, err = DataDir(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	f := &folder{path: path}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if f.lock, err = openLock(path, "lock"); err != nil {
		return nil, err
	}
	switch free, err := tryLock(f.lock); {
	case err != nil:
		return nil, fmt.Errorf("lock the data folder %s: %w", path, err)
	case !free:
		return nil, fmt.Errorf("the data folder %s is %w", path, ErrInUse)
	}
	if f.children, err = openLock(path, "children"); err != nil {
		return nil, err
	}
	return f, f.waitForLeftovers(ctx, log)
}

func (f *folder) waitForLeftovers(ctx context.Context, log func(string, ...any)) error {
	deadline := time.Now().Add(goneGrace)
	for noted := false; ; {
		free, err := tryLock(f.children)
		if err != nil {
			return fmt.Errorf("lock the data folder %s: %w", f.path, err)
		}
		if free {
			return nil
		}
		if !noted {
			log("waiting for the servers of an earlier run in %s to stop", f.path)
			noted = true
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("servers of an earlier run still work in %s after %s: stop them (redis/redis.pid and postgres/postmaster.pid name them)", f.path, goneGrace)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("wait for the servers of an earlier run in %s: %w", f.path, err)
		}
	}
}

// close gives the folder back. The children must be gone.
func (f *folder) close() error {
	var errs []error
	for _, file := range []*os.File{f.children, f.lock} {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}
	return errors.Join(errs...)
}

// password returns the password kept under the name, made at its first use. Only
// the given user may read the file (and root).
func (f *folder) password(name string, reader *user) (string, error) {
	path := filepath.Join(f.path, name)
	text, err := os.ReadFile(path)
	if password := strings.TrimSpace(string(text)); err == nil && password != "" {
		return password, reader.own(path)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	password := rand.Text()
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the password: %w", err)
	}
	return password, reader.own(path)
}

func openLock(folder, name string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(folder, name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	return file, nil
}

func tryLock(file *os.File) (bool, error) {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// pause waits between two tries of something that nobody will announce.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
