package monitor_test

// recorder records the metrics of a monitor. It has a method Stored of its own, because the method Stored of the
// replica implements monitor.Enforcement.
type recorder struct{ *replica }

func (r recorder) Stored(present, breakGlass bool) {
	r.set("present", flag(present))
	r.set("break-glass", flag(breakGlass))
}

func (r recorder) StoredAccess(admins, nodeRoles, protectedMissing int) {
	r.set("nodes", float64(nodeRoles))
	r.set("admins", float64(admins))
	r.set("missing", float64(protectedMissing))
}

func (r recorder) StoredEntries(section string, n int) { r.set(section, float64(n)) }

func (r recorder) StoredFindings(count func(rule, severity string) int) {
	for _, rule := range []string{"protected-principal", "too-expensive"} {
		r.set(rule+"/deny", float64(count(rule, "deny")))
	}
}

func (r recorder) StoredPrincipals(counts map[string]int) {
	for _, state := range []string{"exists", "missing", "recreated", "unknown"} {
		if counts == nil {
			r.set("iam "+state, -1)
			continue
		}
		r.set("iam "+state, float64(counts[state]))
	}
}

func (r recorder) AccessEntryStates(counts map[string]int) {
	for _, state := range entryStates {
		if counts == nil {
			r.set("entry "+state, -1)
			continue
		}
		r.set("entry "+state, float64(counts[state]))
	}
}

func (r recorder) AccessEntryLost(kind string) { r.add("lost " + kind) }

func (r recorder) StoredUnknown() {
	r.forget("present", "break-glass", "protected-principal/deny", "too-expensive/deny")
	r.StoredAccessUnknown()
}

func (r recorder) StoredAccessUnknown() {
	r.forget("admins", "nodes", "missing", "mapRoles", "mapUsers", "mapAccounts")
}

func (r recorder) forget(names ...string) {
	r.change(func() {
		for _, name := range names {
			delete(r.gauges, name)
		}
	})
}
