# SPDX-License-Identifier: GPL-2.0-only
"""Defects for tests/mutants/module: each changes the module in one way."""

# Rule and name, file, cases, then each text and its replacement. Of cases that are a regular
# expression one must fail, of a list each.
MUTANTS = [
    ('2.1-nonblock-reserves', 'lun.c', r'open\.quiet',
     ('if (nonblock)', 'if (0)')),
    ('2.2-anybody', 'control.c', r'open\.rights',
     ('(file->f_mode & FMODE_WRITE) || capable(CAP_SYS_ADMIN)', '1')),
    ('2.3-reader-as-writer', 'lun.c', r'open\.quiet',
     ('options = writable ? lun->open : lun->open_ro;', 'options = lun->open;')),
    ('2.4-once-stays', 'lun.c', r'open\.message',
     ('options = lun->once_options;\n\t\tlun->once = false;', 'options = lun->once_options;')),
    ('2.5-silent-refusal', 'route.c', r'open\.remount',
     ('if (!READ_ONCE(t->refusal_told)) {', 'if (0) {')),
    ('3.2-noisy-registration', 'lun.c', r'hostile\.write_before_a_registration',
     ('if (req->quiet)', 'if (0)')),
    ('3.2-uncounted', 'route.c', r'hostile\.write_before_a_registration',
     ('this_cpu_inc(*path->lun_path->writes);', ';'),
     ('this_cpu_dec(*path->lun_path->writes);\n\tif', ';\n\tif')),
    ('3.6-registers-under-writes', 'pr_map.c', r'hostile\.write_beside_a_forced_open',
     ('lun->registering |= paths', 'lun->registering |= 0')),
    ('3.5-slow-writes-fail-the-open', 'lun.c', r'hostile\.open_beside_slow_writes',
     ('lun->pr.registering ? COMMAND_TIMEOUT_S * HZ', '0 ? COMMAND_TIMEOUT_S * HZ')),
    ('5.2-registering-fails-io', 'lun.c', r'hostile\.write_beside_a_forced_open',
     ('(registering || (READ_ONCE', '(0 || (READ_ONCE')),
    ('5.2-sending-holds-up-decisions', 'route.c', r'hostile\.no_room_on_a_path',
     ('static void route_work(struct work_struct *work)\n{',
      'static void send_work(struct work_struct *work);\n\n'
      'static void route_work(struct work_struct *work)\n{'),
     ('queue_work(send_wq, &t->send);', 'send_work(&t->send);')),
    ('5.4-verdict-of-long-ago', 'route.c', r'hostile\.verdict_while_no_room',
     ('else if (undecided || (op_is_write', 'else if (late || (op_is_write')),
    ('5.12-any-plug', 'route.c', r'limits\.one_by_one',
     ('current->plug->rq_count &&', '1 &&')),
    ('5.12-flush-of-one-group', 'route.c', r'limits\.one_path_denies_the_cache',
     ('i < t->paths && !t->activation', 'i < t->paths && 0')),
    ('3.2-removed-unseen', 'lun.c', r'hostile\.removed_before_the_first_look',
     ('unseen = lun->pr.unseen &&', 'unseen = 0 &&')),
    ('5.11-first-look-once', 'lun.c', r'hostile\.first_look_without_an_answer',
     ('if (lun->pr.baseline && !lun->pr.unseen &&', 'if (lun->pr.baseline &&')),
    ('4.5-passed-over-while-busy', 'lun.c', r'hostile\.left_while_busy',
     ('\t\treturn left;\n', '\t\treturn false;\n')),
    ('5.9-busy-is-forgotten', 'lun.c', r'hostile\.registered_later',
     ('\t\tlun->want_configure |= path;', '')),
    ('5.4-conflicts-forgotten', 'lun.c', r'hostile\.one_conflict_after_another',
     ('lun->conflicts &= ~op->pr.paths;', 'lun->conflicts = 0;')),
    ('5.11-late-release-fences', 'lun.c', r'hostile\.late_release',
     ('if (action != PR_ACT_RELEASE)\n\t\tlun->pr.baseline', 'if (1)\n\t\tlun->pr.baseline')),
    ('4.2-looks-put-the-release-off', 'lun.c', r'session\.all_dead_close',
     ('if (op->pr.kind != PR_OP_LOOK)', '')),
    ('3.6-killed-open-stands', 'lun.c', r'fault\.killed_open',
     ('if (!finished) {', 'if (0) {')),
    ('6.3-killed-message-stays', 'lun.c', r'fault\.killed_message',
     ('lun->abandoned += op->pr.kind == PR_OP_OPEN;', 'lun->abandoned++;')),
    ('4.2-no-release', 'lun.c', r'open\.default',
     ('if (!last)', 'if (1)')),
    ('4.2-release-not-retried', 'lun.c', r'session\.all_dead_close',
     ('\tif (lun->pr.state == PR_STATE_RELEASING) {\n\t\tlun->want_release = true;',
      '\tif (0) {\n\t\tlun->want_release = true;')),
    ('4.6-any-close', 'bdev_hook.c', r'session\.single_refused',
     ('hook->ops->release(hook->owner, !disk_openers(disk));',
      'hook->ops->release(hook->owner, true);')),
    ('4.7-stale-pages', 'lun.c', r'session\.stale_cache',
     ('others ? drop_stale_pages(lun) : 0', '0')),
    ('4.7-gate-early', 'lun.c', r'session\.stale_dirty',
     ('lun->gate_held = true;', ';')),
    ('4.8-key-changes', 'lun.c', r'table\.key_while_open',
     ('if (openers || lun->pr.state != PR_STATE_FREE) {', 'if (0) {')),
    ('4.8-options-lost', 'lun.c', r'table\.options_survive',
     ('if (!lun->active || lun->features.open != features->open)', 'if (1)')),
    ('4.8-key-of-dropped-path', 'lun.c', r'table\.paths_come_and_go',
     ('op = leave_op(gone);', 'op = leave_op(gone);\n\t\top->pr.paths = 0;')),
    ('4.8-open-device-released', 'lun.c', r'table\.linear_while_open',
     ('lun->pr.cfg.key && openers &&', 'lun->pr.cfg.key && 0 &&')),
    ('5.1-gate-open', 'lun.c', r'session\.write_gate',
     ('return READ_ONCE(lun->gate);', 'return true;')),
    ('5.1-passthrough', 'dm-prmpath.c', r'guard\.passthrough',
     ('return !lun_gate_still(t->lun) || ti->len', 'return ti->len')),
    ('5.2-unadmitted-path', 'route.c', r'guard\.not_before_it_is_registered',
     ('return (flags & (BIT(LUN_PATH_FAILED) | BIT(LUN_PATH_ADMITTED))) ==\n'
      '\t       BIT(LUN_PATH_ADMITTED);', 'return !(flags & BIT(LUN_PATH_FAILED));')),
    ('5.2-failed-path-stays-proven', 'lun.c', r'guard\.not_before_it_is_registered',
     ('\t\tpr_path_gone(&lun->pr, path->p->index);\n\t\tlun->announced', '\t\tlun->announced')),
    ('5.2-pending-is-dead', 'route.c', r'guard\.swapped',
     ('return path_coming(t);', 'return false;')),
    ('5.3-untold', 'lun.c', r'fencing\.latch',
     ('say(lun, events[i].name, NULL);', ';')),
    ('5.4-conflict-goes-up', 'lun.c', r'session\.path_unregistered',
     ('return owner;', 'return false;')),
    ('5.4-conflict-is-failure', 'route.c', r'session\.taken_away_by_io',
     ('if (*error == BLK_STS_RESV_CONFLICT) {', 'if (0) {'),
     ('return blk_path_error(error) && error', 'return error')),
    ('5.4-four-conflicts', 'route.c', r'hostile\.a_conflict_on_each_path',
     ('CONFLICTS_MAX + t->paths', 'CONFLICTS_MAX')),
    ('5.3-old-answers-count', 'lun.c', r'hostile\.answered_before_it_failed',
     ('drop_old_answers(lun, &req, &reply);', ';'),
     ('if (!failed_since(lun->path[i]))\n\t\t\tlun', 'lun')),
    ('6.3-late-path-is-gone', 'lun.c', r'hostile\.reserved_while_leaving',
     ('\top->leaving = paths;\n\treturn op;\n}\n\nstatic void queue', '\treturn op;\n}\n\nstatic void queue')),
    ('5.12-flush-to-any-path', 'route.c', r'limits\.one_path_denies_the_cache',
     ('path = path_that_flushes(t, set, path);', ';')),
    ('5.9-registers-early', 'lun.c', r'open\.register_late',
     ('else if (!(features->flags & PRM_F_REGISTER_AT_OPEN))', 'else'),
     ('lun->want_configure &= lun->pr.doubt;', ';')),
    ('5.10-rival-device', 'lun.c', r'refusal\.other_luns',
     ('!rivals(lun, other, key, sdev))', '1)')),
    ('6.3-dead-path-holds-up', 'lun.c', r'guard\.silent_path',
     ('return time_before(limit, until) ? limit : until;', 'return until;')),
    ('6.3-module-not-pinned', 'dm-prmpath.c', r'fault\.rmmod_busy',
     ('\t.module = THIS_MODULE,\t\t\t\t\t\t\\\n', '')),
    # Groups, selectors, handlers and queueing
    ('group-wish-ignored', 'route.c', r'groups\.switch',
     ('t->wanted_group = group;', ';')),
    ('group-not-bypassed', 'path_select.c', r'groups\.disable',
     ('if (!groups[i].bypassed)', 'if (1)')),
    ('group-fails-back', 'path_select.c', r'groups\.failover',
     ('if (group_usable(groups, count, current_group))', 'if (0)')),
    ('group-numbers-wrap', 'dm-prmpath.c', r'groups\.wrong_groups',
     ('!number || number > t->groups) {', '!number || (u32)number > t->groups) {')),
    ('status-letters', 'report.c', r'groups\.like_in_tree',
     ("? 'A' : 'E'", "? 'E' : 'A'")),
    ('table-path-words', 'path_select.c', r'groups\.like_in_tree',
     ('return print_numbers(words, slot->repeat, slot->throughput, buf, size);',
      'return print_numbers(words, slot->repeat, slot->repeat, buf, size);')),
    ('selector-words-swapped', 'path_select.c', r'groups\.selector_words',
     ('return print_numbers(words, args->weight, args->threshold, buf, size);',
      'return print_numbers(words, args->threshold, args->weight, buf, size);')),
    ('repeat-ignored', 'path_select.c', r'groups\.spread',
     ('\tif (left > 1) {', '\tif (0) {')),
    ('throughput-ignored', 'path_select.c', r'groups\.spread',
     ('c->rate = slot->throughput;', 'c->rate = 1;')),
    ('load-ignored', 'path_select.c', r'groups\.slow_path',
     ('c->load = ios_now(slot, cursor, own);\n}', 'c->load = 0;\n}')),
    ('affinity-ignored', 'path_select.c', r'groups\.affinity',
     ('return set->home[cursor->cpu];', 'return 0;')),
    ('io-before-activation', 'route.c', r'groups\.activation',
     ('choice->bypassed, choice->needed) : paths;', 'choice->bypassed, choice->needed), paths : paths;')),
    ('activation-without-io', 'route.c', r'groups\.activation_idle',
     ('choice.needed = t->wanted ||', 'choice.needed = true || t->wanted ||')),
    ('not-activated-anew', 'route.c', r'groups\.activation',
     ('\tt->anew = true;', '\t;')),
    ('not-activated-is-no-failure', 'dm-prmpath.c', r'groups\.activation_fails',
     ('lun_path_fail(t->lun, t->path[path].lun_path, "its hardware handler cannot activate it");',
      ';')),
    ('second-choice-at-once', 'activation.c', r'groups\.activation_delay',
     ('second ? max_t(u32, a->delay_ms, BUSY_DELAY_MS) : 0;', '0;')),
    ('pg_init_retries-ignored', 'activation.c', r'groups\.activation_later',
     ('path->tries <= a->retries) {', 'path->tries <= 0) {')),
    ('pg_init_retries-endless', 'activation.c', r'groups\.activation_later',
     ('path->tries <= a->retries) {', '1) {')),
    ('pg_init_delay-ignored', 'activation.c', r'groups\.activation_later',
     ('outcome == OUTCOME_LATER ? a->delay_ms : 0', '0')),
    ('handler-not-kept', 'dm-prmpath.c', r'groups\.retained_handler',
     ('if (t->features.flags & PRM_F_RETAIN_HANDLER)', 'if (0)')),
    ('request-mode-untold', 'dm-prmpath.c', r'groups\.features',
     ('if (table->features.flags & PRM_F_REQUEST_MODE)', 'if (0)')),
    ('queueing-for-ever', 'route.c', r'groups\.queueing_ends',
     ('READ_ONCE(queue_if_no_path_timeout_secs) * HZ;', '0;')),
    ('queueing-clock-runs-on', 'route.c', r'groups\.queueing_ends',
     ('\tt->no_path_since = jiffies;\n\tWRITE_ONCE(', '\tWRITE_ONCE(')),
    ('options-alone', 'dm-prmpath.c', r'groups\.module_options',
     ('if (!r && features && !multipath) {', 'if (0) {')),
    ('name-taken-untold', 'dm-prmpath.c', r'groups\.module_options',
     ('\tif (r)\n\t\tDMERR("multipath=1:', '\tif (0)\n\t\tDMERR("multipath=1:')),
    ('table-errors-untold', 'dm-prmpath.c', r'groups\.wrong_lines',
     ('DMERR("%s: %s", dm_device_name(', 'pr_debug("%s: %s", dm_device_name(')),
    ('path-in-two-groups', 'table.c', r'groups\.wrong_lines',
     ('if (!strcmp(t->path[i].name, path->name))', 'if (0)')),
    ('uevent-failed-missing', 'route.c', r'groups\.uevents',
     ('dm_path_uevent(DM_UEVENT_PATH_FAILED, t->ti, path->lun_path->name, valid);', ';')),
    ('uevent-reinstated-missing', 'route.c', r'groups\.uevents_dead',
     ('dm_path_uevent(DM_UEVENT_PATH_REINSTATED, t->ti, path->lun_path->name, valid);', ';')),
    ('uevent-miscounts', 'route.c', r'groups\.uevents',
     ('valid += !test_bit(LUN_PATH_FAILED,', 'valid += 1 || test_bit(LUN_PATH_FAILED,')),
    ('event-about-nothing', 'route.c', r'groups\.uevents',
     ('if (events_due(t) || (', 'if (1 || (')),
    ('dead-path-fails-again', 'lun.c', r'groups\.uevents_dead',
     ('failed = !test_and_set_bit(LUN_PATH_FAILED, &path->flags);',
      'set_bit(LUN_PATH_FAILED, &path->flags);\n\tfailed = true;')),
    ('returns-unregistered', 'lun.c', r'groups\.flapping',
     ('lun->want_admit |= bit;\n\t\telse', ';\n\t\telse')),
    ('failed-path-shown-registered', 'lun.c', r'groups\.flapping',
     ('\t\tpr_path_gone(&lun->pr, path->p->index);\n\t\tlun->announced', '\t\tlun->announced')),

    # What the device passes on of its paths
    ('limits-of-one-path', 'dm-prmpath.c', r'limits\.follow_reload',
     ('for (i = 0; i < t->paths && !r; i++)\n\t\tr = fn(', 'for (i = 0; i < 1 && !r; i++)\n\t\tr = fn(')),
    ('no-discards', 'dm-prmpath.c', r'limits\.follow_reload',
     ('ti->num_discard_bios = 1;', 'ti->num_discard_bios = 0;')),
    ('no-flushes', 'dm-prmpath.c', r'limits\.reach_the_target',
     ('ti->num_flush_bios = 1;', 'ti->num_flush_bios = 0;')),
    ('no-zeroes', 'dm-prmpath.c', r'limits\.reach_the_target',
     ('ti->num_write_zeroes_bios = 1;', 'ti->num_write_zeroes_bios = 0;')),
    ('no-protection', 'dm-prmpath.c', r'limits\.protection',
     ('DM_TARGET_SINGLETON | DM_TARGET_NOWAIT |\t\t\\\n\t\t    PRM_PASSES_INTEGRITY,\t\t\t\t\\',
      'DM_TARGET_SINGLETON | DM_TARGET_NOWAIT,\t\t\\')),
    ('protection-not-rewound', 'route.c', r'limits\.protection_from_above',
     ('\t\tbio_integrity(bio)->bip_iter = io->integrity;', '\t\t;')),
    ('no-merging', 'route.c', r'limits\.merging',
     ('if (bio && current->plug &&', 'if (0 && bio && current->plug &&')),
    ('nowait-dropped', 'dm-prmpath.c', r'limits\.nowait',
     ('DM_TARGET_SINGLETON | DM_TARGET_NOWAIT |', 'DM_TARGET_SINGLETON |')),
    ('nowait-waits', 'route.c', r'limits\.nowait',
     ('if (bio->bi_opf & REQ_NOWAIT) {', 'if (0) {')),

    # What multipathd asks for
    ('features-not-shown', 'report.c', r'table\.round_trip',
     ('prm_features_print(t->feature_words,', 'prm_features_print("",')),
    ('reinstate-ignored', 'dm-prmpath.c', r'multipathd\.links',
     ('lun_path_reinstate(t->lun, path);', ';')),
    ('must-not-wait', 'route.c', r'multipathd\.all_links_queue',
     ('if ((READ_ONCE(t->queue_if_no_path) && !suspending) || wait_on(t, late)) {',
      'if (wait_on(t, late)) {')),
    ('always-waits', 'route.c', r'multipathd\.all_links_fail',
     ('if ((READ_ONCE(t->queue_if_no_path) && !suspending) || wait_on(t, late)) {', 'if (1) {')),
    ('fail_if_no_path-ignored', 'dm-prmpath.c', r'multipathd\.queue_for_a_while',
     ('{ "fail_if_no_path", 1, "", message_queueing, NO_PATH_FAIL },',
      '{ "fail_if_no_path", 1, "", message_queueing, NO_PATH_QUEUE },')),
    ('default-features-ignored', 'dm-prmpath.c', r'multipathd\.default_features',
     ('ti->type == &multipath_target ? &default_features : NULL', 'NULL')),
    ('open-map-released', 'lun.c', r'multipathd\.remove_all',
     ('lun->pr.cfg.key && openers &&', 'lun->pr.cfg.key && 0 &&')),
    ('rekeyed-unnoticed', 'lun.c', r'multipathd\.mpathpersist_beside_us',
     ('return owner;', 'return false;'),
     ('(lun->features.poll_s && !time_before(jiffies, lun->watch_at));', 'false;'),
     ('if (lun->pr.state == PR_STATE_OWNER && lun->features.poll_s &&', 'if (0 &&')),

    # From here on each case of a list must fail; beside it what is expected in vain

    # An owner does not notice that another host had the LUN: a foreign holder is ignored, and
    # what vanished is registered and reserved again whoever came in between.
    ('5.11-never-fenced', 'pr_map.c', [
        'fencing.cleared',              # wait_status(state='fenced'): it is owner again
        'fencing.vanished_and_foreign',     # wait_status(state='fenced'): taken again, B evicted
        'fencing.vanished_and_changed',     # wait_status(state='fenced'): taken again
        'fencing.returning_path_of_a_fenced_host',  # wait_status(state='fenced'): stays owner
        'hosts.frozen',                 # wait_status(state='fenced') (or EIO) after resume
     ],
     ('\tcase OWNER_FOREIGN:\n\t\treturn fenced(lun, op);\n\tcase OWNER_NONE:\n'
      '\t\treturn vanished(lun, op);',
      '\tcase OWNER_FOREIGN:\n\t\treturn decided(op, PR_WHY_OK);\n\tcase OWNER_NONE:\n'
      '\t\treturn vanished(lun, op);'),
     ('if ((lun->baseline && op->resv.generation == lun->generation) ||\n'
      '\t    !op->resv.generation)', 'if (1)'),
     ('if (!op->keys.count && !op->keys.generation) {', 'if (1) {')),

    ('5.11-never-taken-again', 'pr_map.c', [
        'fencing.released_behind_our_back',     # 'reserved again': fenced instead
        'fencing.holder_nexus_deleted',     # 'reserved again': fenced instead
        'fencing.target_lost_memory',   # 'reserved again': fenced instead (40 s)
     ],
     ('return ST_VANISHED_KEYS;', 'return fenced(lun, op);')),

    ('5.4-conflict-fails-the-path', 'route.c', [
        'fencing.noticed_by_io',        # writer.failed() == 'EBADE': EIO, and no state fenced
        'fencing.one_path_unregistered',    # 'registered again': the path has failed (20 s)
        'takeover.late_writes',         # set(writers.errors()) == {'EBADE'}: EIO
     ],
     ('if (*error == BLK_STS_RESV_CONFLICT) {', 'if (0) {'),
     ('return blk_path_error(error) && error',
      'return (blk_path_error(error) || error == BLK_STS_RESV_CONFLICT) && error')),

    # A forced open registers, sends no PREEMPT, and succeeds.
    ('3.3-takes-without-preempt', 'pr_map.c', [
        'takeover.forced',              # state.keys == [B, B] and state.holder == B
        'takeover.late_writes',         # 'all writers fail': a writes on (60 s)
        'takeover.third_registrant',    # state.keys == [A, A] and state.holder == A
        'takeover.forced_race',         # state.holder in (A, B): C holds it still
        'takeover.breaks',              # state.holder is None: B holds it still
        'open.forced',                  # state.keys == [0xa1, 0xa1] and state.holder == 0xa1
        'hosts.crash',                  # state.keys == [B, B] and state.holder == B
     ],
     ('return register_paths(op, paths, ST_TAKE);', 'return register_paths(op, paths, ST_OWNED);')),

    ('3.3-no-abort', 'pr_map.c', [
        'takeover.queued_writes',       # 'a late write landed': PREEMPT does not wait 1.2 s
     ],
     ('op->no_abort ? PR_ACT_PREEMPT : PR_ACT_PREEMPT_ABORT,\n\t\t\tone(paths), op->victim);',
      'PR_ACT_PREEMPT,\n\t\t\tone(paths), op->victim);')),

    ('3.2-nobody-evicted', 'pr_map.c', [
        'takeover.evicts_registrants',  # state.keys == [A, A]: B's are there, too
        'takeover.third_registrant',    # state.keys == [A, A]: C's are there, too
        'fencing.new_registrant',       # 'evicted': B stays (15 s)
        'open.forced',                  # 'not evicted', in its last part
     ],
     ('return lun->cfg.shared ? ST_OWNED : ST_EVICT;', 'return ST_OWNED;')),

    # A default open beside a foreign reservation registers and succeeds.
    ('3-default-foreign-let-in', 'pr_map.c', [
        'takeover.refused',             # open '': code == 1: it is 0
        'takeover.default_race',        # len(winners) == 1: 2, the loser is let in
        'hosts.story',                  # 'b must be refused', the first one
     ],
     ('if (!forced)\n\t\treturn failed(op, PR_WHY_FOREIGN);',
      'if (!forced)\n\t\treturn register_paths(op, usable(lun), ST_OWNED);')),

    ('3-registers-before-it-reads', 'pr_map.c', [
        'open.foreign',                 # commands.pr() and not commands.pr_out()
     ],
     ('\t\tlun->holder = PR_NO_PATH;\n\treturn ST_OPEN_READ;',
      '\t\tlun->holder = PR_NO_PATH;\n\treturn register_paths(op, usable(lun), ST_OPEN_READ);')),

    # A reservation with K that a session of this host or an earlier life left is no one's.
    ('3-default-own-not-adopted', 'pr_map.c', [
        'open.adopt',                   # the second hold_extended(retain): refused
        'open.leftover',                # hold_extended(no-reserve): refused
        'hosts.crash_of_the_owner',     # the second Writer.opened(): refused
     ],
     ('\tcase OWNER_KEY:\n\t\treturn open_found_own(lun, op);',
      '\tcase OWNER_KEY:\n\t\tif (lun->state != PR_STATE_OWNER)\n'
      '\t\t\treturn failed(op, PR_WHY_TWIN);\n\t\treturn open_found_own(lun, op);')),

    ('3.9-twins-trusted', 'pr_map.c', [
        'open.twin',                    # refused(BUSY): adopted
        'hosts.twins',                  # code and 'busy' in out: adopted, code 0
     ],
     ('if (lun->cfg.twin_trust || verdict == TWIN_OURS)', 'if (1)')),

    # An open beside an owner reads, and one with no_reserve releases what the session has.
    ('3.5-nobody-joins', 'pr_map.c', [
        'open.join',                    # not commands.pr()
        'takeover.beside',              # pr_state() == before: no holder
     ],
     ('else if (lun->state == PR_STATE_OWNER && !lun->suspect)', 'else if (0)'),
     ('if (opening(op, PRM_OPEN_NO_RESERVE) && lun->state == PR_STATE_OWNER)\n'
      '\t\treturn joined(lun, op);',
      'if (opening(op, PRM_OPEN_NO_RESERVE) && lun->state == PR_STATE_OWNER)\n'
      '\t\treturn release_chain(lun, op);')),

    ('3-default-one-dead-path-refuses', 'pr_map.c', [
        'open.one_dead',                # hold(): refused with EIO
     ],
     ('\tlun->twin = false;\n\treturn register_paths(op, usable(lun), ST_RESERVE_LOOK);',
      '\tif (lun->present & ~lun->live)\n\t\treturn failed(op, PR_WHY_NO_ANSWER);\n'
      '\tlun->twin = false;\n\treturn register_paths(op, usable(lun), ST_RESERVE_LOOK);')),

    ('2.4-message-in-a-session', 'pr_map.c', [
        'refusal.commands',             # 'done under a session': pr_release returns 0
     ],
     ('if (session_open(lun))\n\t\treturn decided(op, PR_WHY_SESSION);\n\top->ignore =',
      'op->ignore =')),

    ('5.12-plain-gate-closed', 'pr_map.c', [
        'open.plain',                   # check_write(0x48): EBADE
     ],
     ('return !lun->cfg.key || lun->state == PR_STATE_OWNER ||',
      'return lun->state == PR_STATE_OWNER ||')),

    ('6.1-keys-always-read', 'pr_map.c', [
        'open.cost',                    # pr[:2] == [READ RESERVATION, RESERVE]
     ],
     ('if (proven(lun) && !lun->twin &&', 'if (0 && proven(lun) && !lun->twin &&')),

    ('2.3-table-defaults-ignored', 'lun.c', [
        'open.table_defaults',          # 'pr_open no_reserve': holder is 0xa1
        'open.bypass_default',          # not commands.pr(): it reserves
     ],
     ('options = writable ? lun->open : lun->open_ro;',
      'options = writable ? 0 : PRM_OPEN_BYPASS;')),

    ('2.4-failed-open-keeps-once', 'lun.c', [
        'open.once_failed',             # 'not retained': the next open retains
     ],
     ('return options == PRM_OPEN_BYPASS ? 0 : open_lun(lun, options, others);',
      'int r = options == PRM_OPEN_BYPASS ? 0 : open_lun(lun, options, others);\n\n'
      '\tif (r)\n\t\tlun_set_options(lun, options, true);\n\treturn r;')),

    ('3.7-refused-open-returns-0', 'lun.c', [
        'open.no_pr',                   # refused(NO_PR): exit code 0
        'open.all_dead',                # refused(IO): exit code 0
        'open.scsi2_reservation',       # refused(BUSY): exit code 0
     ],
     ('\tif (r)\n\t\tlog_refusal(lun, op);\n\telse if (op->pr.started)',
      '\tif (r) {\n\t\tlog_refusal(lun, op);\n\t\tr = 0;\n\t} else if (op->pr.started)')),

    ('5.8-type-ignored', 'lun.c', [
        'open.types',                   # state.type == number: 5
        'open.one_path_types',          # (state.type, state.holder) == (number, 0xa1): 5
     ],
     ('.type = f->type,', '.type = PR_TYPE_WRITE_EXCLUSIVE_RO,')),

    ('5.8-shared-ignored', 'lun.c', [
        'open.shared',                  # state.keys == [0xb, 0xa1, 0xa1]: evicted
        'takeover.shared',              # wait_status(keys_foreign='2'): evicted (15 s)
        'open.all_registrants',         # hold() with pr_shared: refused
     ],
     ('.shared = f->flags & PRM_F_SHARED,', '.shared = false,'),
     # PREEMPT AND ABORT would deadlock in tcm_loop, where open.shared must not evict.
     ('pr_encode_cdb(cmd->cdb, req->action, req->type, cmd->len);',
      'pr_encode_cdb(cmd->cdb, req->action == PR_ACT_PREEMPT_ABORT ? PR_ACT_PREEMPT :\n'
      '\t\t      req->action, req->type, cmd->len);')),

    ('5.2-checker-brings-nothing-back', 'lun.c', [
        'groups.standby_comes_back',    # 'it comes back' (15 s)
        'limits.io_uring',              # 'it is back' (20 s)
     ],
     ('if ((orphan || check) && works)', 'if ((orphan || (check && 0)) && works)')),

    # Like single, for those who would write.
    ('2.1-exclusive-is-single', 'bdev_hook.c', [
        'open.exclusive',               # the last hold(): busy
     ],
     ('\t/* The block layer counts this open after we return. */\n',
      '\tif (disk->part0->bd_holder && (mode & BLK_OPEN_WRITE)) {\n'
      '\t\tprm_fops_release(orig, disk, mode);\n\t\treturn -EBUSY;\n\t}\n')),

    ('2.2-control-takes-anything', 'control.c', [
        'open.extended',                # status['options'] == 'single': default
        'refusal.control',              # out == ['ENOTTY'] * 5 + ...: OK
     ],
     ('r = lun_open_extended(lun, args->options);', 'r = lun_open_extended(lun, 0);'),
     ('default:\n\t\treturn -ENOTTY;', 'default:\n\t\treturn 0;')),

    ('3.7-refusals-name-nothing', 'dm-prmpath.c', [
        'refusal.features',             # missing in the log: 'is no key' and so on
        'refusal.paths',                # missing in the log: 'every path once' and so on
        'refusal.no_lun',               # missing in the log: 'is no SCSI disk'
        'refusal.messages',             # missing in the log: 'fail_path'
     ],
     ('DMERR("%s: %s", dm_device_name(dm_table_get_md(ti->table)), error);',
      'DMERR("%s: wrong table", dm_device_name(dm_table_get_md(ti->table)));'),
     ('DMERR("%s: message %s has the wrong number of words, expected: %s%s",\n\t\t\t      '
      'lun_name(t->lun), name, messages[i].name, messages[i].words);',
      'DMERR("%s: wrong message", lun_name(t->lun));')),

    ('5.12-limits-of-nobody', 'dm-prmpath.c', [
        'limits.passed_on',             # physical_block_size is 512
        'limits.blocks_of_4096',        # same_limits(): logical_block_size is 512
     ],
     ('r = fn(ti, t->path[i].dev, ti->begin, ti->len, data);', 'r = 0;')),

    ('5.12-nothing-merges', 'route.c', [
        'limits.read_ahead',            # 'no read was merged'
     ],
     ('REQ_FAILFAST_MASK : REQ_FAILFAST_TRANSPORT;',
      'REQ_FAILFAST_MASK : REQ_FAILFAST_TRANSPORT;\n\tbio->bi_opf |= REQ_NOMERGE;')),

    ('2.1-plain-open-reserves-nothing', 'lun.c', [
        'multipathd.appears',           # hold().opened(); mp.owner(): never owner (30 s)
        'multipathd.file_systems',      # mkfs: its writes meet the closed gate
        'multipathd.partitions',        # mbr.py's write is refused
        'multipathd.switch_over',       # mount over our target: writes refused, or no owner
     ],
     ('options = writable ? lun->open : lun->open_ro;', 'options = lun->open_ro;')),

    ('2.3-groups-ignored', 'route.c', [
        'table.groups',                 # writes(second) == idle: 'second group used'
        'paths.second_group',           # writes_through(second) == 0: it carries writes
     ],
     ('if ((group < 0 || t->path[i].group == group) && path_usable(&t->path[i]))',
        'if (path_usable(&t->path[i]))')),

    ('2.3-handler-errors-ignored', 'dm-prmpath.c', [
        'table.hardware_handler',       # expect(code): 'nosuch' is accepted
     ],
     ('r = scsi_dh_attach(q, t->handler);', 'r = 0 * scsi_dh_attach(q, t->handler);')),

    ('3.7-every-failure-is-EIO', 'pr_map.c', [
        'hostile.refusals',             # rows that must end with EOPNOTSUPP end with EIO
     ],
     ('return whys[why].error;', 'return whys[why].error ? -EIO : 0;')),

    ('3.9-key-is-proof', 'pr_map.c', [
        'paths.twin',                   # before.keys == [A, A], else the open succeeds
        'hostile.reads',                # rows 'a twin...': EBUSY expected, the open succeeds
     ],
     ('if (lun->cfg.twin_trust || verdict == TWIN_OURS)\n\t\treturn op->then;',
        'if (1)\n\t\treturn op->then;')),

    ('3.9-own-reservation-refused', 'pr_map.c', [
        'paths.retained_over_module_reload',    # hold(t, mpa).opened(): refused
        'paths.retained_over_new_nexus',        # Writer(t, mpa).opened(): refused
     ],
     ('if (op->resv.held)\n\t\treturn adopt(lun, op);',
        'if (op->resv.held)\n\t\treturn 0 ? adopt(lun, op) : failed(op, PR_WHY_FOREIGN);')),

    ('4.1-single-is-nothing', 'pr_map.c', [
        'session.single_keeps_out',     # refused(mp, BUSY): exit 0, it joins
        'fault.opens_at_once',          # opened == 1 of eight singles: all eight open
     ],
     ('else if (lun->session & PRM_OPEN_SINGLE)', 'else if (0)'),
     ('else if ((op->options & PRM_OPEN_SINGLE) && lun->opened)', 'else if (0)')),

    ('4.2-release-not-sent', 'pr_map.c', [
        'multipathd.file_systems',      # released(mp) after umount (30 s)
        'multipathd.partitions',        # released(mp) after kpartx -d (30 s)
        'multipathd.shutdown',          # released(mp) after umount (30 s)
        'backstore.opens',              # the last: holder is None (20 s)
        'paths.holder_dies',            # poll holder is None, 'released' (30 s)
        'session.verified_release',     # count(RELEASE) >= 2
        'session.dead_holder',          # state.holder is None after the close
        'session.open_while_releasing',     # wait_status(state='free') at the end (15 s)
        'fault.deferred_remove',        # keys == []: the device goes as 'releasing' (15 s)
        'fault.open_close_storm',       # wait_status(state='free', opens=0) (15 s)
     ],
     ('return send_out(lun, req, PR_ACT_RELEASE, paths, 0);',
        'return send_out(lun, req, PR_ACT_RELEASE, paths & 0, 0);')),

    ('4.2-good-is-proof', 'pr_map.c', [
        'session.verified_release',     # count(RELEASE) >= 2: one GOOD, and it is content
        'hostile.lies',     # 'RELEASE is GOOD, but nothing is released': not 'releasing'
     ],
     ('/* GOOD proves nothing (E10). */\n\treturn ST_RELEASE_READ;',
        'return reply->ended[PR_GOOD] ? released(lun, op) : ST_RELEASE_READ;')),

    ('4.3-retain-is-released', 'pr_map.c', [
        'session.retain',                       # wait_status(state='retained'): free (15 s)
        'paths.retained_over_module_reload',    # wait_status(state='retained'): free (15 s)
     ],
     ('if (retain) {\n\t\tlun->state = PR_STATE_RETAINED;',
        'if (0) {\n\t\tlun->state = PR_STATE_RETAINED;')),

    # What a sync writes back, as at the last close, is taken for a write after the session.
    ('4.4-dirty-pages-come-too-late', 'route.c', [
        'session.dirty_pages',              # read_byte(b) == 0x43: not written
        'fault.last_close_without_path',    # closed without a path, or dirty pages lost
     ],
     ('if (write && unlikely(!lun_gate(t->lun)) && !is_flush(bio))',
        'if (write && !is_flush(bio) &&\n'
        '\t    (!lun_gate(t->lun) || (bio->bi_opf & (REQ_SYNC | REQ_IDLE)) == REQ_SYNC))')),

    ('4.5-keys-outlive-the-device', 'lun.c', [
        'session.registrations',    # state.keys == []
        'multipathd.flush',         # 'no registration is left' after multipath -f (20 s)
        'multipathd.shutdown',      # at_the_target() == (False, 0): two are left
        'fault.deferred_remove',    # keys == [], 'registrations go' (15 s)
        'fault.error_table',        # state.keys == []
        'table.linear_and_back',    # keys == [], 'registrations left'
     ],
     ('op = leave_op(members);', 'op = leave_op(members);\n\top->leaving = 0;')),

    # Without moving the reservation first, and though a retained one stands on it
    ('4.8-holder-is-unregistered', 'pr_map.c', [
        'paths.holder_removed_by_reload',       # holder == A right after keys == [A]
        'table.holder_dropped',                 # 'reservation lost', or EBADE before
        'session.retain',                       # pr_state() == state after mp.remove()
        'paths.retained_over_module_reload',    # keys == [A, A] and holder == A after remove
     ],
     ('if (!on_record(lun))\n\t\treturn ST_LEAVE_DROP;', 'if (1)\n\t\treturn ST_LEAVE_DROP;')),

    # E11, E27, E36
    ('4.8-reservation-does-not-move', 'pr_map.c', [
        'paths.holder_dies',                # poll holder is None, 'released' (30 s)
        'session.dead_holder',              # state.holder is None after the close
        'paths.retained_over_new_nexus',    # Writer.opened(): refused, holder not found
        'paths.holder_removed_by_reload',   # keys == [A] (20 s): the path stays registered
        'table.holder_dropped',             # keys == [0xa1] * 2 (20 s)
        'table.holder_dropped_dead',        # keys == [0xa1] * 2 (30 s)
     ],
     ('return send_out(lun, req, PR_ACT_PREEMPT, bit(op->path), lun->cfg.key);',
        'return send_out(lun, req, PR_ACT_PREEMPT, bit(op->path) & 0, lun->cfg.key);')),

    ('4.8-noflush-fails-what-waits', 'route.c', [
        'fault.suspend_noflush',            # progress(job): the writer has ended with EIO
        'fault.last_close_without_path',    # read 'D' at the end: dirty pages lost
     ],
     ('return end_with(bio, BLK_STS_DM_REQUEUE);', 'return end_with(bio, BLK_STS_IOERR);')),

    ('4.8-reload-ends-the-session', 'lun.c', [
        'table.session_survives',   # RELEASE not in pr_out(); else state == 'owner'
        'fault.suspended',          # progress(job): EBADE, the session was closed
     ],
     ('if (gone) {\n\t\top = leave_op(gone);',
        'if (old_key) {\n\t\top = new_op(PR_OP_CLOSE, GFP_NOIO | __GFP_NOFAIL);\n'
        '\t\tsubmit(lun, op);\n\t\tlun_op_put(op);\n\t}\n'
        '\tif (gone) {\n\t\top = leave_op(gone);')),

    ('4.8-old-key-stays', 'lun.c', [
        'table.rekey',                  # keys == [0xa2, 0xa2], 'changed' (15 s)
        'table.key_of_a_loaded_table',  # logged('pr_key stays as it was...'): no such line
     ],
     ('if (old_key && old_key != features->key)', 'if (0 && old_key != features->key)')),

    ('4.8-openers-do-not-count', 'lun.c', [
        'table.key_added_while_open',   # table_refused: it was accepted
        'fault.remove_force',           # holder == 0xa1: released under the opener
     ],
     ('if (openers || lun->pr.state != PR_STATE_FREE) {',
        'if (lun->pr.state != PR_STATE_FREE) {'),
     ('lun->pr.cfg.key && openers &&', 'lun->pr.cfg.key && 0 &&')),

    ('5.2-returning-path-is-not-registered', 'lun.c', [
        'multipathd.path_added',        # poll writes_through(path) > 3: none (30 s)
        'multipathd.reservation_key',   # mp.owner(): one registered path (30 s)
        'multipathd.daemon_killed',     # mp.owner() at the end: one registered path (30 s)
        'paths.returns_by_itself',      # registered(mpa, other) (60 s)
        'paths.added_by_reload',        # registered(mpa, paths[1]) (60 s)
        'paths.new_nexus',              # registered(mpa, path) (60 s)
        'session.path_messages',        # poll 'registered' after reinstate_path (15 s)
        'session.path_returns',         # poll 'registered' after reinstate_path (20 s)
        'session.paths_one_by_one',     # poll 'registered' (20 s)
     ],
     ('lun->want_admit &= lun->members & ~proven_paths(lun);', 'lun->want_admit = 0;')),

    ('5.2-dead-path-fails-io', 'route.c', [
        'paths.second_group',           # writer.goes_on(): EIO from the first group
        'paths.holder_dies',            # writer.goes_on(): EIO from the holder path
        'multipathd.daemon_killed',     # fio.goes_on(): fio ended
        'session.paths_one_by_one',     # progress(job): the writer ended
        'table.groups',                 # check_write(0x48) after the first group is cut
        'fault.little_memory',          # code == 0: fsync fails
     ],
     ('lun_path_fail(t->lun, path->lun_path, "I/O error");\n\trewind_bio(bio);\n'
        '\tpark(t, &t->parked, bio, 0);\n\treturn DM_ENDIO_INCOMPLETE;',
        'lun_path_fail(t->lun, path->lun_path, "I/O error");\n\treturn DM_ENDIO_DONE;')),

    ('5.3-fence-is-not-latched', 'pr_map.c', [
        'multipathd.takeover',      # try_open(mpa, 'forced') 'fenced, so a must be refused'
        'session.taken_away',       # refused(mp, BUSY, 'forced'): it takes the LUN back
     ],
     ('if (lun->state == PR_STATE_FENCED)\n\t\top->why = PR_WHY_FENCED;',
        'if (0)\n\t\top->why = PR_WHY_FENCED;')),

    # A foreign holder, and our keys gone: the background registers and evicts all the same.
    ('5.3-fenced-host-arms-itself-again', 'pr_map.c', [
        'multipathd.takeover',      # writer.failed(90): it writes on; or never 'fenced'
        'session.taken_away',       # wait_status(state='fenced') (15 s)
     ],
     ('case OWNER_FOREIGN:\n\t\treturn fenced(lun, op);\n\tcase OWNER_NONE:\n'
        '\t\treturn vanished(lun, op);',
        'case OWNER_FOREIGN:\n\t\treturn next;\n\tcase OWNER_NONE:\n'
        '\t\treturn vanished(lun, op);'),
     ('if (key_absent(lun, op)) {\n\t\tlun->registered = 0;\n\t\treturn fenced(lun, op);\n'
        '\t}\n\tif (!op->keys.complete)\n\t\treturn failed(op, PR_WHY_UNSETTLED);',
        'if (!op->keys.complete)\n\t\treturn failed(op, PR_WHY_UNSETTLED);'),
     ('if (key_absent(lun, op)) {\n\t\tlun->registered = 0;\n\t\treturn fenced(lun, op);\n'
        '\t}\n\tlun->suspect = false;', 'lun->suspect = false;'),
     ('case OWNER_FOREIGN:\n\t\treturn fenced(lun, op);\n\tcase OWNER_NONE:\n'
        '\t\treturn admit_again(lun, op);',
        'case OWNER_FOREIGN:\n\t\tbreak;\n\tcase OWNER_NONE:\n'
        '\t\treturn admit_again(lun, op);')),

    ('5.3-queued-io-is-not-failed', 'route.c', [
        'paths.taken_while_down',   # writer.failed(90): what was queued waits on, though fenced
     ],
     ('return refuse_write(t, bio);\n\tpath = ',
        'return io->parked ? without_path(t, bio) : refuse_write(t, bio);\n\tpath = ')),

    # The last path has failed: the session is over.
    ('5.5-silence-is-not-reserved', 'lun.c', [
        'paths.all_down_queued',        # wait_status(state='unknown'): free (15 s)
        'paths.all_down_failing',       # writer.failed() == 'EIO': EBADE, the gate is shut
        'session.queue_if_no_path',     # gate == 'open' and the writer runs
     ],
     ('\t\trefresh_masks(lun);\n\t\tpublish(lun);\n\t}\n'
        '\tspin_unlock_irqrestore(&lun->lock, flags);\n\tif (failed)',
        '\t\trefresh_masks(lun);\n'
        '\t\tif (lun->pr.state == PR_STATE_OWNER && !(lun->members & ~failed_paths(lun)))\n'
        '\t\t\tlun->pr.state = PR_STATE_FREE;\n'
        '\t\tpublish(lun);\n\t}\n'
        '\tspin_unlock_irqrestore(&lun->lock, flags);\n\tif (failed)')),

    ('5.6-tried-again-once', 'pr_wire.c', [
        'hostile.undone',       # 'BUSY for 1 s' and others: the open must succeed
        'hostile.attentions',   # '20 times power on' and others: the open must succeed
     ],
     ('[PR_ATTENTION] = { 64, 0, 0 },', '[PR_ATTENTION] = { 1, 0, 0 },'),
     ('[PR_TRANSIENT] = { 40, 100, 1000 },', '[PR_TRANSIENT] = { 1, 100, 1000 },')),

    ('5.6-lost-command-is-sent-again', 'pr_wire.c', [
        'hostile.lost_status',  # 'REGISTER done on both paths': EIO expected, it succeeds
     ],
     ('[PR_TRANSIENT] = { 40, 100, 1000 },',
        '[PR_TRANSIENT] = { 40, 100, 1000 },\n\t[PR_LOST] = { 40, 100, 1000 },')),

    # Malformed data says "not reserved", and a short list is all there is.
    ('5.7-data-is-believed', 'lun.c', [
        'hostile.reads',        # 'READ RESERVATION cut to 4 bytes' and others: EIO expected
        'hostile.many_keys',    # '1023 keys, shared': keys_foreign is not the target's
     ],
     ('return !pr_decode_reservation(&reply->resv, cmd->data, len);',
        'return pr_decode_reservation(&reply->resv, cmd->data, len) || true;'),
     ('*needed = keys.needed;', '*needed = 0;')),

    ('5.9-registers-under-a-foreign-reservation', 'pr_map.c', [
        'paths.restarted_beside_foreign',   # keys == [B, B]; else Raw(a).writes()
     ],
     ('if (owner == OWNER_FOREIGN)\n\t\treturn unregister_doubtful(lun, op, PR_WHY_FOREIGN);',
        ''),
     ('\t    owner != OWNER_NONE) {', '\t    (owner != OWNER_NONE && owner != OWNER_FOREIGN)) {'),
     ('if (owner == OWNER_FOREIGN || (owner == OWNER_ALL && !was_held))',
        'if (owner == OWNER_ALL && !was_held)')),

    ('5.11-nobody-watches', 'lun.c', [
        'fencing.noticed_without_io',   # wait_status(state='fenced')
        'session.vanished',     # poll holder == 0xa1, 'reserved again' (15 s)
        'session.taken_away',   # wait_status(state='fenced') without I/O (15 s)
     ],
     ('(lun->features.poll_s && !time_before(jiffies, lun->watch_at));', 'false;'),
     ('if (lun->pr.state == PR_STATE_OWNER && lun->features.poll_s &&', 'if (0 &&')),

    # Each look of the watcher proves the paths, which raises the generation.
    ('5.11-looks-register', 'pr_map.c', [
        'backstore.daemon_restarts',    # pr_state() == state: another generation
     ],
     ('if (proofs_fresh(lun, op->resv.generation) && !op->recheck &&\n'
        '\t    (lun->cfg.shared || !lun->keys_foreign)) {', 'if (0) {'),
     ('bool checked = proofs_fresh(lun, op->resv.generation);', 'bool checked = false;')),

    ('5.12-no-events', 'route.c', [
        'multipathd.events',    # uevent DM_ACTION=PATH_FAILED (10 s)
     ],
     ('if (events_due(t) || (paths &&', 'if (0 && events_due(t) && (paths &&')),

    ('5.12-failed-path-looks-active', 'report.c', [
        'table.status',         # groups[-3] == 'F'
     ],
     ("return test_bit(LUN_PATH_FAILED, &path->flags) ? 'F' : 'A';",
        "return path ? 'A' : 'F';")),

    # Of a device whose reservation is retained, as if for a path
    ('6.3-removal-waits', 'lun.c', [
        'fault.remove_while_dead',      # time < 40 s
     ],
     ('op = leave_op(members);',
        'if (lun->pr.state == PR_STATE_RETAINED)\n'
        '\t\tschedule_timeout_uninterruptible(45 * HZ);\n\top = leave_op(members);')),
]
