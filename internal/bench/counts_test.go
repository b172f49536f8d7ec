package bench

import (
	"maps"
	"strings"
	"testing"
)

// TestCommandsBetween: what is counted is what came between two looks, without the looks.
func TestCommandsBetween(t *testing.T) {
	before := commandCalls("# Commandstats\r\ncmdstat_get:calls=3,usec=9,usec_per_call=3.00\r\ncmdstat_info:calls=1,usec=50\r\ncmdstat_config|get:calls=2,usec=4\r\n")
	after := commandCalls("# Commandstats\r\ncmdstat_get:calls=10,usec=30\r\ncmdstat_info:calls=2,usec=99\r\ncmdstat_config|get:calls=2,usec=4\r\ncmdstat_xread:calls=5,usec=8\r\n")
	made := since(before, after)
	if want := map[string]int64{"get": 7, "xread": 5}; !maps.Equal(made, want) {
		t.Errorf("%v, want %v", made, want)
	}
	if sum(made) != 12 {
		t.Errorf("%d in all", sum(made))
	}
}

// TestDataMemory: buffers that come and go with clients are not data.
func TestDataMemory(t *testing.T) {
	got, err := dataMemory("# Memory\r\nused_memory:5000\r\nused_memory_human:4.9K\r\nmem_clients_normal:700\r\nmem_aof_buffer:300\r\n")
	if err != nil || got != 4000 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := dataMemory("# Memory\r\n"); err == nil {
		t.Error("nothing is taken for no memory")
	}
}

// TestRewriting: a child that works, or is to, is seen.
func TestRewriting(t *testing.T) {
	const none = "# Persistence\r\nrdb_bgsave_in_progress:0\r\naof_enabled:1\r\naof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0\r\n"
	if rewriting(none) {
		t.Error("nobody rewrites")
	}
	for _, field := range []string{"rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled"} {
		if !rewriting(strings.Replace(none, field+":0", field+":1", 1)) {
			t.Errorf("%s is not seen", field)
		}
	}
}
