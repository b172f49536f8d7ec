package embedded

import "testing"

// FuzzParseSight: whatever a server says of its cluster, nothing breaks, and what is
// read has a server that speaks for itself.
func FuzzParseSight(f *testing.F) {
	f.Add("a1 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-5460\nb2 127.0.0.1:7001@17001 slave a1 0 1 1 connected\n")
	f.Add("a1 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0 [93-<-b2]\n")
	f.Add("a1 :0 noaddr - 0 0 x connected 5-\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSight(text)
		if err != nil {
			return
		}
		if _, known := s.others[s.self]; !known {
			t.Errorf("%q is told by %q, who is not there", text, s.self)
		}
	})
}
