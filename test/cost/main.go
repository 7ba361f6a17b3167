// Command cost looks for texts that are expensive to evaluate. It repeats every construct of YAML and JSON, and
// mistakes in them, until the text has the size of the largest ConfigMap, and judges the text as the new object, as
// the old object and as both, each in a process of its own. It prints the slowest and the biggest of them, and the
// constructs whose cost more than doubles with the size, and fails where a target is missed.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// largest is what the values of a ConfigMap may add up to (kubernetes v1.36.3, pkg/apis/core/validation, MaxSecretSize).
	largest = 1 << 20
	// maxAnswer is the target of an evaluation of one such text, old or new, on two cores that nothing else uses. Where
	// both are such texts and neither is known from an earlier review, it may take twice as long.
	maxAnswer = time.Second
	// maxMemory is the target of the process's resident memory. The garbage collector is told of memoryLimit, as the
	// webhook tells it of the limit of its container, and may not need more.
	maxMemory   = 192 << 20
	memoryLimit = maxMemory - 24<<20 // less what is not on the heap
	// maxGrowth is what an evaluation may cost in times of one of half the size; noise is left out below minGrowing.
	maxGrowth  = 3
	minGrowing = 100 * time.Millisecond
	// patience ends a process that is not coming back.
	patience = time.Minute
)

// run is one evaluation: a construct, where its text stands and in which versions.
type run struct {
	Construct int    `json:"construct"`
	Sections  string `json:"sections"` // roles, accounts, or all: a third of the text in each section
	Change    string `json:"change"`   // both, new or old
	Size      int    `json:"size"`     // bytes of the text
}

// measured is what a run took.
type measured struct {
	run
	Answer   time.Duration   `json:"answer"`   // from the question to the answer
	CPU      time.Duration   `json:"cpu"`      // of all cores, with the garbage collector's
	Resident int64           `json:"resident"` // bytes
	Action   validate.Action `json:"action"`
	failure  string
}

func main() {
	log.SetFlags(0)
	child := flag.String("run", "", "evaluate one text, in JSON, and print what it took; for the command itself")
	only := flag.String("only", "", "measure the constructs alone whose name this regular expression matches")
	show := flag.Int("show", 15, "how many of the slowest and the biggest are printed")
	flag.Parse()
	if *child != "" {
		if err := evaluate(*child); err != nil {
			log.Fatal("cost: ", err)
		}
		return
	}
	name, err := regexp.Compile(*only)
	if err != nil {
		log.Fatal("cost: -only: ", err)
	}
	results, err := measureAll(context.Background(), name)
	if err != nil {
		log.Fatal("cost: ", err)
	}
	if !printResults(os.Stdout, results, *show) {
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func measureAll(ctx context.Context, name *regexp.Regexp) ([]measured, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var results []measured
	for _, r := range []run{ // the most telling first
		{0, "roles", "both", largest},
		{0, "accounts", "both", largest},
		{0, "all", "both", largest},
		{0, "roles", "new", largest},
		{0, "roles", "old", largest},
		{0, "roles", "both", largest / 2},
		{0, "accounts", "both", largest / 2},
	} {
		for i, c := range constructs() {
			if !name.MatchString(c.name) {
				continue
			}
			r.Construct = i
			m := measure(ctx, program, r)
			if !m.held() {
				fmt.Fprintf(os.Stderr, "past a target: %s, %s, %s, %d KiB: %d ms, %d ms of CPU time, %d MiB %s\n", c.name, r.Sections, r.Change, r.Size>>10, m.Answer.Milliseconds(), m.CPU.Milliseconds(), m.Resident>>20, m.failure)
			}
			results = append(results, m)
		}
	}
	return results, nil
}

// held says whether the run reaches the targets.
func (m measured) held() bool {
	target := maxAnswer
	if m.Change == "both" {
		target *= 2
	}
	return m.failure == "" && m.Answer <= target && m.Resident <= maxMemory
}

// measure evaluates in a process of its own, which can be ended and whose memory is known.
func measure(ctx context.Context, program string, r run) measured {
	m := measured{run: r}
	argument, err := json.Marshal(r)
	if err != nil {
		m.failure = err.Error()
		return m
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-run", string(argument)) //nolint:gosec // this program
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		m.CPU, m.Resident = cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), usage.Maxrss<<10
	}
	if err == nil {
		err = json.Unmarshal(out, &m)
	}
	if err != nil {
		first, _, _ := strings.Cut(stderr.String(), "\n")
		m.failure = err.Error() + ": " + first
	}
	return m
}

// evaluate is what the process does. The CPU time of making the text is not counted.
func evaluate(argument string) error {
	var m measured
	if err := json.Unmarshal([]byte(argument), &m.run); err != nil {
		return err
	}
	debug.SetMemoryLimit(memoryLimit)
	change := m.change()
	begin, err := cpuTime()
	if err != nil {
		return err
	}
	asked := time.Now()
	m.Action = validate.Judge(change, validate.Policy{}).Action
	m.Answer = time.Since(asked)
	end, err := cpuTime()
	if err != nil {
		return err
	}
	m.CPU = end - begin
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	m.Resident = usage.Maxrss << 10
	return json.NewEncoder(os.Stdout).Encode(m)
}

func cpuTime() (time.Duration, error) {
	var usage syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), err
}

// change puts the text into the versions. An old text differs from the new one in its last line, so that both are
// evaluated.
func (r run) change() validate.Change {
	good := &awsauth.Object{Data: map[string]string{"mapRoles": "- rolearn: arn:aws:iam::111122223333:role/a\n  username: a\n"}}
	before, after := good, good
	if r.Change != "new" {
		before = r.object("#\n")
	}
	if r.Change != "old" {
		after = r.object("##\n")
	}
	return validate.Change{Operation: validate.Update, Old: before, New: after}
}

func (r run) object(end string) *awsauth.Object {
	data := make(map[string]string)
	sections := map[string][]awsauth.Section{
		"roles": {awsauth.MapRoles}, "accounts": {awsauth.MapAccounts}, "all": awsauth.Sections(),
	}[r.Sections]
	size := r.Size/len(sections) - len("\n##\n")
	for _, s := range sections {
		text := constructs()[r.Construct].text(size)
		if !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		data[string(s)] = text + end
	}
	return &awsauth.Object{Data: data}
}

// printResults says whether every target is reached.
func printResults(out io.Writer, results []measured, show int) bool {
	all := constructs()
	held := true
	table := func(title string, rows []measured) {
		fmt.Fprintf(out, "\n%s\n", title)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, m := range rows {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d KiB\t%d ms\t%d ms CPU\t%d MiB\t%s\t%s\n", all[m.Construct].name, m.Sections, m.Change,
				m.Size>>10, m.Answer.Milliseconds(), m.CPU.Milliseconds(), m.Resident>>20, m.Action, m.failure)
		}
		_ = w.Flush()
	}
	slowest := slices.SortedFunc(slices.Values(results), func(a, b measured) int { return int(b.Answer - a.Answer) })
	table("slowest", slowest[:min(show, len(slowest))])
	byMemory := slices.SortedFunc(slices.Values(results), func(a, b measured) int { return int(b.Resident - a.Resident) })
	table("biggest, in resident memory of the process", byMemory[:min(show, len(byMemory))])
	var growing []measured
	half := make(map[run]measured)
	for _, m := range results {
		half[m.run] = m
		before := m.run
		before.Size /= 2
		if h, ok := half[before]; ok && m.CPU > minGrowing && m.CPU > maxGrowth*h.CPU {
			growing = append(growing, m)
		}
	}
	table(fmt.Sprintf("more than %d times the CPU time of half the size", maxGrowth), growing)
	fmt.Fprintln(out)
	for _, m := range results {
		held = held && m.held()
	}
	not := ""
	if !held {
		not = "and not "
	}
	fmt.Fprintf(out, "%d evaluations, %seach within %s (%s where both texts are expensive) and %d MiB\n", len(results), not, maxAnswer, 2*maxAnswer, maxMemory>>20)
	return held
}
