// Conditions of the calling query (see pushed_conditions.hpp), taken from its plan. All functions here run inside one
// call(), so they create no C++ objects with destructors.
#include "pg/pushed_conditions.hpp"

namespace fairq::pg {

namespace {

FunctionScan *scan_in(Plan *plan, const Node *function);

FunctionScan *scan_in_list(List *plans, const Node *function) {
    FunctionScan *found = nullptr;
    for (int i = 0; found == nullptr && i < list_length(plans); ++i)
        found = scan_in(static_cast<Plan *>(list_nth(plans, i)), function);
    return found;
}

FunctionScan *scan_in_children(Plan *plan, const Node *function) {
    switch (nodeTag(plan)) {
    case T_Append:
        return scan_in_list(reinterpret_cast<Append *>(plan)->appendplans, function);
    case T_MergeAppend:
        return scan_in_list(reinterpret_cast<MergeAppend *>(plan)->mergeplans, function);
    case T_SubqueryScan:
        return scan_in(reinterpret_cast<SubqueryScan *>(plan)->subplan, function);
    case T_CustomScan:
        return scan_in_list(reinterpret_cast<CustomScan *>(plan)->custom_plans, function);
    default:
        return nullptr;
    }
}

// The function scan that this call of the function returns its rows to; null when the query calls the function
// elsewhere, as in a SELECT list.
FunctionScan *scan_in(Plan *plan, const Node *function) {
    check_stack_depth();
    if (plan == nullptr)
        return nullptr;
    if (IsA(plan, FunctionScan)) {
        auto *const scan = reinterpret_cast<FunctionScan *>(plan);
        return list_length(scan->functions) == 1 &&
                       static_cast<RangeTblFunction *>(linitial(scan->functions))->funcexpr == function
                   ? scan
                   : nullptr;
    }
    FunctionScan *found = scan_in_children(plan, function);
    if (found == nullptr)
        found = scan_in(outerPlan(plan), function);
    return found == nullptr ? scan_in(innerPlan(plan), function) : found;
}

FunctionScan *scan_of(FunctionCallInfo call_info, PlannedStmt *query) {
    Node *const function = call_info->flinfo->fn_expr;
    FunctionScan *const found = scan_in(query->planTree, function);
    return found == nullptr ? scan_in_list(query->subplans, function) : found;
}

// Whether the function reveals nothing about its arguments. The comparison of two enum values is that of two numbers,
// but PostgreSQL does not mark it as leakproof.
bool tells_nothing(Oid function) {
    return function < FirstNormalObjectId &&
           (get_func_leakproof(function) || function == F_ENUM_EQ || function == F_ENUM_NE);
}

// To print a value of another type, the server may call a function of a user.
bool is_known(Oid type) {
    Oid const element = get_element_type(type), scalar = OidIsValid(element) ? element : type;
    return scalar < FirstNormalObjectId || type_is_enum(scalar);
}

// The columns have the same collations in the printed condition. Another collation would be lost in the text.
bool is_usual(Oid collation) {
    return !OidIsValid(collation) || collation == DEFAULT_COLLATION_OID;
}

// For walk_expression: true, which ends the walk, at an expression that may not be pushed.
bool stays_above(Node *node, void *context) {
    if (node == nullptr)
        return false;
    switch (nodeTag(node)) {
    case T_Var: {
        auto const *const column = reinterpret_cast<Var *>(node);
        return column->varno != *static_cast<int *>(context) || column->varattno <= 0 ||
               column->varlevelsup != 0;
    }
    case T_Const: {
        auto const *const value = reinterpret_cast<Const *>(node);
        return !is_known(value->consttype) || !is_usual(value->constcollid);
    }
    case T_RelabelType: {
        auto const *const relabel = reinterpret_cast<RelabelType *>(node);
        if (!is_known(relabel->resulttype) ||
            relabel->resultcollid != exprCollation(reinterpret_cast<Node *>(relabel->arg)))
            return true;
        break;
    }
    case T_OpExpr:
        if (!tells_nothing(reinterpret_cast<OpExpr *>(node)->opfuncid))
            return true;
        break;
    case T_ScalarArrayOpExpr:
        if (!tells_nothing(reinterpret_cast<ScalarArrayOpExpr *>(node)->opfuncid))
            return true;
        break;
    case T_NullTest:
        if (reinterpret_cast<NullTest *>(node)->argisrow)
            return true;
        break;
    case T_BoolExpr:
    case T_List:
        break;
    default:
        return true;
    }
    return compat::walk_expression(node, stays_above, context);
}

Node *constant_of(Param *parameter, ParamListInfo given) {
    ParamExternData space;
    if (parameter->paramkind != PARAM_EXTERN || given == nullptr || parameter->paramid > given->numParams)
        return reinterpret_cast<Node *>(parameter);
    ParamExternData const *const value = given->paramFetch
                                             ? given->paramFetch(given, parameter->paramid, false, &space)
                                             : &given->params[parameter->paramid - 1];
    if (value->ptype != parameter->paramtype)
        return reinterpret_cast<Node *>(parameter);
    int16 length = 0;
    bool by_value = false;
    get_typlenbyval(parameter->paramtype, &length, &by_value);
    return reinterpret_cast<Node *>(makeConst(parameter->paramtype, parameter->paramtypmod,
                                              parameter->paramcollid, length, value->value, value->isnull,
                                              by_value));
}

// For change_expression: replaces parameters by the constants that the query was executed with.
Node *with_constants(Node *node, void *context) {
    if (node != nullptr && IsA(node, Param))
        return constant_of(reinterpret_cast<Param *>(node), static_cast<ParamListInfo>(context));
    return compat::change_expression(node, with_constants, context);
}

// For change_expression: makes all columns those of relation 1, the only one when the condition is printed.
Node *of_first_relation(Node *node, void *context) {
    if (node != nullptr && IsA(node, Var)) {
        auto const *const column = reinterpret_cast<Var *>(node);
        return reinterpret_cast<Node *>(
            makeVar(1, column->varattno, column->vartype, column->vartypmod, column->varcollid, 0));
    }
    return compat::change_expression(node, of_first_relation, context);
}

const char *print_conditions(FunctionCallInfo call_info, const char *alias, Oid rows) {
    auto *const result = reinterpret_cast<ReturnSetInfo *>(call_info->resultinfo);
    EState *const query = result->econtext->ecxt_estate;
    FunctionScan *const scan = query == nullptr || query->es_plannedstmt == nullptr
                                   ? nullptr
                                   : scan_of(call_info, query->es_plannedstmt);
    List *pushed = NIL;
    for (int i = 0; scan != nullptr && i < list_length(scan->scan.plan.qual); ++i) {
        int relation = static_cast<int>(scan->scan.scanrelid);
        Node *const condition =
            with_constants(static_cast<Node *>(list_nth(scan->scan.plan.qual, i)), query->es_param_list_info);
        if (!stays_above(condition, &relation))
            pushed = lappend(pushed, of_first_relation(condition, nullptr));
    }
    return pushed == NIL ? ""
                         : deparse_expression(reinterpret_cast<Node *>(make_ands_explicit(pushed)),
                                              deparse_context_for(alias, rows), true, false);
}

} // namespace

std::string pushed_conditions(FunctionCallInfo call_info, const char *alias, Oid rows) {
    return call([&] { return print_conditions(call_info, alias, rows); });
}

} // namespace fairq::pg
