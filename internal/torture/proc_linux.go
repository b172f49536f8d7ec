package torture

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// attributes makes a child that the kernel kills when the thread that started it
// ends, in a process group of its own.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// offspring are the processes that a process has started.
func offspring(parent int) (found []int, err error) {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ") // behind its name: state, parent, …
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				return nil, err
			}
			found = append(found, pid)
		}
	}
	return found, nil
}
