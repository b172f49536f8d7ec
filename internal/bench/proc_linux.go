package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of /proc/PID/stat, on every Linux that Go runs on.
const tick = time.Second / 100

// attributes makes a child that the kernel kills when the thread that started it
// ends, in a process group of its own.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// cpuOf is what a process and its children have computed, user and system; those that
// have ended count.
func cpuOf(pid int) (time.Duration, bool) {
	stats := map[int]stat{}
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, false
	}
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if s, ok := readStat(text); ok {
			stats[s.pid] = s
		}
	}
	self, ok := stats[pid]
	if !ok {
		return 0, false
	}
	sum := self.own + self.buried
	for _, s := range stats {
		if s.parent == pid {
			sum += s.own + s.buried
		}
	}
	return sum, true
}

// allComputed is what everybody on the machine has computed since it started, and what
// was taken from it by the host that it runs on.
func allComputed() (time.Duration, bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	return readAll(text)
}

// readAll reads it from the first line of /proc/stat: user, nice, system, idle, iowait, irq,
// softirq, steal, and guests, who are in user already.
func readAll(text []byte) (sum time.Duration, ok bool) {
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, false
	}
	for i, field := range fields[1:9] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, false
		}
		if i != 3 && i != 4 {
			sum += time.Duration(n) * tick
		}
	}
	return sum, true
}

// stat is what /proc/PID/stat says.
type stat struct {
	pid, parent int
	own, buried time.Duration // CPU time of itself; of children that were waited for
}

// readStat reads it. The name, in parentheses, may hold anything.
func readStat(text []byte) (s stat, ok bool) {
	end := bytes.LastIndexByte(text, ')')
	begin := bytes.IndexByte(text, ' ')
	if begin < 0 || end < begin {
		return stat{}, false
	}
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 15 {
		return stat{}, false
	}
	var numbers [5]int
	for i, word := range []string{fields[1], fields[11], fields[12], fields[13], fields[14]} { // ppid, utime, stime, cutime, cstime
		n, err := strconv.Atoi(word)
		if err != nil {
			return stat{}, false
		}
		numbers[i] = n
	}
	pid, err := strconv.Atoi(string(text[:begin]))
	if err != nil {
		return stat{}, false
	}
	return stat{
		pid: pid, parent: numbers[0],
		own: time.Duration(numbers[1]+numbers[2]) * tick, buried: time.Duration(numbers[3]+numbers[4]) * tick,
	}, true
}

// rssOf is the resident memory of one process, in bytes.
func rssOf(pid int) (int64, bool) { return statusOf(pid, "VmRSS:") }

// peakOf is the most that it ever was.
func peakOf(pid int) (int64, bool) { return statusOf(pid, "VmHWM:") }

func statusOf(pid int, field string) (int64, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, false
	}
	_, rest, ok := strings.Cut(string(text), field)
	kilobytes, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, err := strconv.ParseInt(kilobytes, 10, 64)
	return n << 10, ok && err == nil
}

// cpuName, memorySize and kernel describe the machine.
func cpuName() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, _ := strings.Cut(string(text), "model name")
	name, _, _ := strings.Cut(strings.TrimLeft(rest, " \t:"), "\n")
	return name
}

func memorySize() int64 {
	text, _ := os.ReadFile("/proc/meminfo")
	_, rest, _ := strings.Cut(string(text), "MemTotal:")
	kilobytes, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseInt(kilobytes, 10, 64)
	return n << 10
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	release, _, _ := strings.Cut(strings.TrimSpace(string(text)), "-") // what follows is whoever built it
	return "Linux " + release
}
