package check

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
)

// witness hears everything that a browser complains of, and what it loads.
type witness struct {
	mu       sync.Mutex
	troubles []string
	asked    map[network.RequestID]*network.EventRequestWillBeSent
	streams  map[network.RequestID]string // addresses of the streams of events that are open
	bytes    float64                      // that came over the wire
}

func newWitness() *witness {
	return &witness{asked: map[network.RequestID]*network.EventRequestWillBeSent{}, streams: map[network.RequestID]string{}}
}

// hear is told every event of a page. It must not ask the browser anything.
func (w *witness) hear(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		switch e.Type {
		case runtime.APITypeError, runtime.APITypeWarning, runtime.APITypeAssert:
			var said []string
			for _, a := range e.Args {
				said = append(said, string(a.Value)+a.Description)
			}
			w.trouble("console: %s", strings.Join(said, " "))
		}
	case *runtime.EventExceptionThrown:
		w.trouble("exception: %v", e.ExceptionDetails)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			w.trouble("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *audits.EventIssueAdded:
		w.trouble("issue: %s %s", e.Issue.Code, issueDetails(e.Issue))
	case *network.EventRequestWillBeSent:
		w.asked[e.RequestID] = e
		if e.Type == network.ResourceTypeEventSource {
			w.streams[e.RequestID] = e.Request.URL
		}
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			w.trouble("answer: %d %s", e.Response.Status, e.Response.URL)
		}
	case *page.EventFrameNavigated: // what the page before had open is not told any more
		if e.Frame.ParentID == "" {
			for id := range w.streams {
				if w.asked[id].LoaderID != e.Frame.LoaderID {
					delete(w.streams, id)
				}
			}
		}
	case *network.EventDataReceived:
		if w.streams[e.RequestID] != "" { // it never finishes
			w.bytes += float64(e.EncodedDataLength)
		}
	case *network.EventLoadingFinished:
		w.bytes += e.EncodedDataLength
		delete(w.streams, e.RequestID)
	case *network.EventLoadingFailed:
		delete(w.streams, e.RequestID)
		if !e.Canceled { // by a page that was left
			url := ""
			if asked := w.asked[e.RequestID]; asked != nil {
				url = asked.Request.URL
			}
			w.trouble("request: %s %s %s", e.ErrorText, e.BlockedReason, url)
		}
	}
}

func (w *witness) trouble(format string, args ...any) {
	w.troubles = append(w.troubles, fmt.Sprintf(format, args...))
}

// issueDetails says what an issue is about, as far as its kind is known here.
func issueDetails(i *audits.InspectorIssue) string {
	switch d := i.Details; {
	case d == nil:
		return ""
	case d.ContentSecurityPolicyIssueDetails != nil:
		return d.ContentSecurityPolicyIssueDetails.ViolatedDirective + " " + d.ContentSecurityPolicyIssueDetails.BlockedURL
	case d.GenericIssueDetails != nil:
		return string(d.GenericIssueDetails.ErrorType) + " " + d.GenericIssueDetails.ViolatingNodeAttribute
	case d.CookieIssueDetails != nil:
		return fmt.Sprint(d.CookieIssueDetails.CookieWarningReasons, d.CookieIssueDetails.CookieExclusionReasons)
	}
	return ""
}

// told takes away what was complained of until now.
func (w *witness) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.troubles
	w.troubles = nil
	return told
}

// forgive forgets what must be complained of where a journey breaks something on purpose:
// troubles that have one of the words.
func (w *witness) forgive(words ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.troubles = slices.DeleteFunc(w.troubles, func(trouble string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(trouble, word) })
	})
}

// streaming is how many streams of events are open.
func (w *witness) streaming() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.streams)
}

// weight is what came over the wire until now.
func (w *witness) weight() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int(w.bytes)
}
