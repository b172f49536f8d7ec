//go:build unix && !linux

package bench

import (
	"runtime"
	"syscall"
	"time"
)

// attributes makes a child in a process group of its own. Nothing here kills it when
// we are killed ourselves.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// What processes use is known on Linux only; elsewhere it is left out of the report.
func cpuOf(int) (time.Duration, bool) { return 0, false }
func rssOf(int) (int64, bool)         { return 0, false }
func peakOf(int) (int64, bool)        { return 0, false }

func cpuName() string   { return runtime.GOARCH }
func memorySize() int64 { return 0 }
func kernel() string    { return runtime.GOOS }

func allComputed() (time.Duration, bool) { return 0, false }
