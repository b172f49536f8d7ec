//go:build !linux

package torture

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// attributes makes a child in a process group of its own. Nothing here kills it when
// we are killed ourselves.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// offspring are the processes that a process has started.
func offspring(parent int) (found []int, err error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		pair := strings.Fields(line)
		if len(pair) != 2 || pair[1] != strconv.Itoa(parent) {
			continue
		}
		pid, err := strconv.Atoi(pair[0])
		if err != nil {
			return nil, fmt.Errorf("list the processes: %w", err)
		}
		found = append(found, pid)
	}
	return found, nil
}
