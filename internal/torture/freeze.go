package torture

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// freeze stops a process and all its children (SIGSTOP) until the function it answers
// is called. The parent goes first, so that it can have no more children.
//
// A process that is stopped does not heed the signal by which it would end with us.
// So a guard of no ties to us lets all of them go on after so many seconds at the
// latest.
func freeze(parent, most int) (goOn func(), err error) {
	all := []int{parent}
	thaw := func() {
		for _, pid := range all {
			_ = syscall.Kill(pid, syscall.SIGCONT) // an error says that it is gone
		}
	}
	if err := syscall.Kill(parent, syscall.SIGSTOP); err != nil {
		return nil, err
	}
	children, err := offspring(parent)
	if err != nil {
		thaw()
		return nil, err
	}
	all = append(all, children...)
	guard := exec.Command("sh", "-c", fmt.Sprintf(`sleep %d; kill -CONT "$@"`, most), "guard")
	for _, pid := range all {
		guard.Args = append(guard.Args, strconv.Itoa(pid))
	}
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := guard.Start(); err != nil {
		thaw()
		return nil, err
	}
	for _, pid := range children {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH) {
			defer thaw()
			return nil, errors.Join(err, dismiss(guard))
		}
	}
	return func() {
		thaw()
		_ = dismiss(guard)
	}, nil
}

// dismiss ends a guard and its sleep.
func dismiss(guard *exec.Cmd) error {
	err := syscall.Kill(-guard.Process.Pid, syscall.SIGKILL)
	_ = guard.Wait() // says that it was killed
	return err
}
