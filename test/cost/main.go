// Command cost finds texts that are expensive to evaluate. It repeats every construct of YAML and JSON, and mistakes in
// them, until the text has the size of the largest ConfigMap. It evaluates a change with the text in the new version, in
// the old version, and in both. Each evaluation has a process of its own. The command prints the slowest evaluations, those
// with the most memory, and the constructs whose cost grows faster than their size. It fails if a target is missed.
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
	// largest is the maximum total size of the values of a ConfigMap in bytes (kubernetes v1.36.3, pkg/apis/core/validation, MaxSecretSize).
	largest = 1 << 20
	// maxAnswer is the target for the time of an evaluation on two idle cores, if one version has the text of a construct. If
	// both versions have such a text, and no earlier review has cached one of them, the target is twice as long.
	maxAnswer = time.Second
	// maxMemory is the target for the resident memory of the process, in bytes. memoryLimit is the soft memory limit of the Go
	// runtime. The soft limit of the webhook is 90 percent of the memory limit of its container.
	maxMemory   = 192 << 20
	memoryLimit = maxMemory - 24<<20 // 24 MiB are for memory outside of the heap
	// The command lists a construct if its CPU time grows by more than the factor maxGrowth when the size doubles. It doesn't list
	// evaluations that take less than minGrowing, because their time is mostly noise.
	maxGrowth  = 3
	minGrowing = 100 * time.Millisecond
	// runTimeout limits the time of one process.
	runTimeout = time.Minute
)

// run is one evaluation of a construct's text.
type run struct {
	Construct int    `json:"construct"` // the index in constructs
	Sections  string `json:"sections"`  // the sections with the text: roles, accounts, or all (a third of the text in each section)
	Change    string `json:"change"`    // the versions with the text: both, new or old
	Size      int    `json:"size"`      // bytes of the text
}

// measurement is the cost of a run.
type measurement struct {
	run
	Answer   time.Duration   `json:"answer"`   // wall-clock time of the evaluation
	CPU      time.Duration   `json:"cpu"`      // CPU time on all cores, including garbage collection
	Resident int64           `json:"resident"` // largest resident memory of the process, in bytes
	Action   validate.Action `json:"action"`
	failure  string          // why the process of the run failed; empty if it did not
}

func main() {
	log.SetFlags(0)
	child := flag.String("run", "", "evaluate one run, given in JSON, and print its cost; used by the command itself")
	only := flag.String("only", "", "measure only the constructs whose name this regular expression matches")
	show := flag.Int("show", 15, "number of the slowest and of the largest evaluations to print")
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

// measureAll measures the runs of the constructs whose name matches. It prints each run that misses a target.
func measureAll(ctx context.Context, name *regexp.Regexp) ([]measurement, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var results []measurement
	for _, r := range []run{ // the most expensive evaluations first
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
			if !m.meetsTargets() {
				fmt.Fprintf(os.Stderr, "target missed: %s, %s, %s, %d KiB: %d ms, %d ms of CPU time, %d MiB %s\n", c.name, r.Sections, r.Change, r.Size>>10, m.Answer.Milliseconds(), m.CPU.Milliseconds(), m.Resident>>20, m.failure)
			}
			results = append(results, m)
		}
	}
	return results, nil
}

func (m measurement) meetsTargets() bool {
	target := maxAnswer
	if m.Change == "both" {
		target *= 2
	}
	return m.failure == "" && m.Answer <= target && m.Resident <= maxMemory
}

// measure evaluates a run in a new process, so that it can kill the process after runTimeout, and measure the memory of this
// run alone.
func measure(ctx context.Context, program string, r run) measurement {
	m := measurement{run: r}
	argument, err := json.Marshal(r)
	if err != nil {
		m.failure = err.Error()
		return m
	}
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
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

// evaluate evaluates a run in this process and prints the measurement in JSON. The CPU time of making the text doesn't count.
func evaluate(argument string) error {
	var m measurement
	if err := json.Unmarshal([]byte(argument), &m.run); err != nil {
		return err
	}
	debug.SetMemoryLimit(memoryLimit)
	change := m.makeChange()
	begin, err := cpuTime()
	if err != nil {
		return err
	}
	started := time.Now() //nolint:forbidigo // measures the duration to report
	m.Action = validate.Evaluate(change, validate.Policy{}).Action
	m.Answer = time.Since(started)
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

// makeChange returns a change with the text in the versions of the run. The last lines of the old and the new text differ,
// so that the guard evaluates both. A version without the text has one good entry.
func (r run) makeChange() validate.Change {
	good := &awsauth.Object{Data: map[string]string{"mapRoles": "- rolearn: arn:aws:iam::111122223333:role/a\n  username: a\n"}}
	before, after := good, good
	if r.Change != "new" {
		before = r.makeObject("#\n")
	}
	if r.Change != "old" {
		after = r.makeObject("##\n")
	}
	return validate.Change{Operation: validate.Update, Old: before, New: after}
}

// makeObject returns an object with the text in the sections of the run. The text of each section ends with the line end.
func (r run) makeObject(end string) *awsauth.Object {
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

// printResults prints the tables, and reports whether every run meets the targets.
func printResults(out io.Writer, results []measurement, show int) bool {
	all := constructs()
	held := true
	table := func(title string, rows []measurement) {
		fmt.Fprintf(out, "\n%s\n", title)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, m := range rows {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d KiB\t%d ms\t%d ms CPU\t%d MiB\t%s\t%s\n", all[m.Construct].name, m.Sections, m.Change,
				m.Size>>10, m.Answer.Milliseconds(), m.CPU.Milliseconds(), m.Resident>>20, m.Action, m.failure)
		}
		_ = w.Flush()
	}
	slowest := slices.SortedFunc(slices.Values(results), func(a, b measurement) int { return int(b.Answer - a.Answer) })
	table("slowest", slowest[:min(show, len(slowest))])
	byMemory := slices.SortedFunc(slices.Values(results), func(a, b measurement) int { return int(b.Resident - a.Resident) })
	table("largest resident memory of the process", byMemory[:min(show, len(byMemory))])
	var growing []measurement
	half := make(map[run]measurement)
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
		held = held && m.meetsTargets()
	}
	outcome := "all met"
	if !held {
		outcome = "MISSED"
	}
	fmt.Fprintf(out, "%d evaluations, targets %s: %s each (%s if both texts are expensive) and %d MiB\n", len(results), outcome, maxAnswer, 2*maxAnswer, maxMemory>>20)
	return held
}
